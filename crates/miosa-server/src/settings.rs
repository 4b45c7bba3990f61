//! Changes of a sandbox's settings, and who may make them.
//!
//! INVARIANT: `sandboxes:write` and `sandboxes:create` close and never open: what a policy or a
//! `deny-all` has closed is opened with `network:write` alone, by whichever way.

use miosa_api::broker::{Effect, PolicyMode};
use miosa_api::egress::EgressRule;
use miosa_api::sandbox::{CreateSandbox, PatchSandbox};
use serde_json::{Map, Value};

use crate::auth::{Caller, Scope};
use crate::network::{Effective, change};
use crate::routes::access;
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, admission, policy};

/// Refuses a sandbox whose own rules would open what a policy of its tenant or workspace has closed.
pub async fn may_be_made(app: &App, caller: &Caller, body: &CreateSandbox) -> Result<(), ApiError> {
    let with = |metadata: Map<String, Value>| SandboxRow {
        tenant_id: caller.tenant_id.clone(),
        workspace_id: body.workspace_id.clone(),
        metadata: Value::Object(metadata).to_string(),
        ..SandboxRow::default()
    };
    let mut without = body.metadata.clone();
    if without.remove("network_policy").is_some() {
        let made = with(body.metadata.clone());
        require_if_it_opens(app, caller, &with(without), &made).await?;
    }
    Ok(())
}

/// Changes settings; returns once a changed network policy is in force.
pub async fn patch(
    app: &App,
    caller: &Caller,
    id: &str,
    body: PatchSandbox,
) -> Result<SandboxRow, ApiError> {
    let _one_change = change::lock(&caller.tenant_id).await;
    let before = access::sandbox(app, caller, id).await?;
    let row = admission::patched(before.clone(), body)?;
    let changed = before.network_policy() != row.network_policy();
    let own_mode = change::mode_for_own(app, &before, &row).await?;
    if own_mode.is_some() {
        // What a policy has set is changed by who may change policies.
        caller.require(Scope::NetworkWrite)?;
    }
    if changed {
        require_if_it_opens(app, caller, &before, &row).await?;
    }
    sandboxes::save_settings(&app.pool, &row)
        .await
        .map_err(admission::taken)?;
    let in_force = match own_mode {
        Some((place, mode)) => {
            let set = change::set_mode_locked(app, &place, mode).await;
            set.map(|_| ())
        }
        None if changed => {
            let pushed = policy::push_if(app, id, policy::has_network).await;
            pushed.map(|_| ())
        }
        None => Ok(()),
    };
    if let Err(error) = in_force {
        take_back(app, &before).await?;
        return Err(error);
    }
    Ok(row)
}

/// A broker that has the new rules and whose answer was lost gets the old ones back.
async fn take_back(app: &App, before: &SandboxRow) -> Result<(), ApiError> {
    sandboxes::save_settings(&app.pool, before).await?;
    if let Err(again) = policy::push_if(app, &before.id, policy::has_network).await {
        tracing::error!(%again, "a network policy that was taken back could not be put in force");
    }
    Ok(())
}

/// Refuses settings that would open, for a sandbox that is not there yet, what those before keep closed.
pub async fn may_differ(
    app: &App,
    caller: &Caller,
    before: &SandboxRow,
    after: &SandboxRow,
) -> Result<(), ApiError> {
    if before.network_policy() == after.network_policy() {
        return Ok(());
    }
    require_if_it_opens(app, caller, before, after).await
}

async fn require_if_it_opens(
    app: &App,
    caller: &Caller,
    before: &SandboxRow,
    after: &SandboxRow,
) -> Result<(), ApiError> {
    let (before, after) = (Effective::of(app, before), Effective::of(app, after));
    if opens(&before.await?, &after.await?) {
        caller.require(Scope::NetworkWrite)?;
    }
    Ok(())
}

/// Whether something is closed before and open after. Rules are compared whole but for their ids: those
/// of metadata are numbered.
fn opens(before: &Effective, after: &Effective) -> bool {
    let has = |all: &Effective, rule: &EgressRule| all.rules.iter().any(|r| same(r, rule));
    let enforced = before.mode == PolicyMode::Enforce;
    let lost = |rule: &EgressRule| rule.effect == Effect::Deny && !has(after, rule);
    let gained = |rule: &EgressRule| rule.effect == Effect::Allow && !has(before, rule);
    before.rules.iter().any(lost)
        || (enforced && after.mode != PolicyMode::Enforce)
        || (enforced && after.rules.iter().any(gained))
}

fn same(a: &EgressRule, b: &EgressRule) -> bool {
    let matter = |r: &EgressRule| {
        (
            r.effect,
            r.host.clone(),
            r.methods.clone(),
            r.path_glob.clone(),
        )
    };
    matter(a) == matter(b)
}
