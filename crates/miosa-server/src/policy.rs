//! What the broker is told of a sandbox: mode, rules and bindings, as one immutable generation.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use miosa_api::broker::{PolicyApplied, SandboxPolicy};
use miosa_api::error::ErrorCode;
use miosa_api::sandbox::SandboxState;

use crate::locks::Locks;
use crate::network::Effective;
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, connectors};

/// INVARIANT: what a push tells was read after the push before it was told. Two that overtake one
/// another would leave the older in force, or be refused as stale.
static PUSHING: Locks = Locks::new();

/// Sandboxes whose end is written down while their processes may still run.
static ENDING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The policy of a sandbox as the database has it now, under a new generation.
async fn build(app: &App, row: SandboxRow) -> Result<SandboxPolicy, ApiError> {
    let generation = sandboxes::next_policy_generation(&app.pool, &row.id).await?;
    let bindings = if row.withholds_credentials() {
        Vec::new()
    } else {
        connectors::binding_policies(app, &row.id).await?
    };
    let effective = Effective::of(app, &row).await?;
    let mode_policy_id = effective.policy_id().map(str::to_owned);
    Ok(SandboxPolicy {
        generation: u64::try_from(generation).unwrap_or(0),
        tenant_id: row.tenant_id,
        mode: effective.mode,
        mode_policy_id,
        rules: effective.broker_rules(),
        bindings,
    })
}

/// Puts the policy in force as the database has it; returns once it is. A destroyed sandbox has none:
/// it would take a place at the broker that nobody gives back.
pub async fn push(app: &App, sandbox_id: &str) -> Result<PolicyApplied, ApiError> {
    let applied = push_if(app, sandbox_id, is_there).await?;
    applied.ok_or_else(|| ApiError::new(ErrorCode::ResourceState, "the sandbox is destroyed"))
}

/// [`push`] for a sandbox that the condition holds for, also when its turn has come.
pub(crate) async fn push_if(
    app: &App,
    sandbox_id: &str,
    wanted: fn(&SandboxRow) -> bool,
) -> Result<Option<PolicyApplied>, ApiError> {
    let row = sandboxes::get_any(&app.pool, sandbox_id).await?;
    if row.is_some_and(|row| !wanted(&row)) {
        return Ok(None);
    }
    // Before the lock: a broker that starts is told of every sandbox under these locks first.
    app.broker.ready().await?;
    push_now_if(app, sandbox_id, wanted).await
}

async fn push_now_if(
    app: &App,
    sandbox_id: &str,
    wanted: fn(&SandboxRow) -> bool,
) -> Result<Option<PolicyApplied>, ApiError> {
    let _one_push = PUSHING.of(sandbox_id).await;
    let row = sandboxes::get_any(&app.pool, sandbox_id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", sandbox_id))?;
    if !wanted(&row) {
        return Ok(None);
    }
    let policy = build(app, row).await?;
    app.broker.put_now(sandbox_id, &policy).await.map(Some)
}

/// Tells a broker that just started about every sandbox with a network.
pub(crate) async fn push_all(app: &App) -> Result<(), ApiError> {
    for row in sandboxes::live(&app.pool).await? {
        push_now_if(app, &row.id, has_network).await?;
    }
    Ok(())
}

/// Begins the end of a sandbox, before it is written down: it counts as having a network until
/// [`ended`], so that no change is answered while its processes go on under the policy before.
pub(crate) fn ending(sandbox_id: &str) {
    lock_ending().insert(sandbox_id.to_owned());
}

/// Its processes are gone, or cannot be ended: the broker forgets it.
pub(crate) async fn ended(app: &App, sandbox_id: &str) {
    let _one_push = PUSHING.of(sandbox_id).await;
    lock_ending().remove(sandbox_id);
    if let Err(error) = app.broker.delete_now(sandbox_id).await {
        // A new broker is not told of it.
        tracing::warn!(sandbox = sandbox_id, %error, "the broker was not told of a sandbox that ended");
    }
}

/// It does not end after all.
pub(crate) fn goes_on(sandbox_id: &str) {
    lock_ending().remove(sandbox_id);
}

fn lock_ending() -> MutexGuard<'static, BTreeSet<String>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a sandbox can have a policy at all.
pub(crate) fn is_there(row: &SandboxRow) -> bool {
    row.state() != SandboxState::Destroyed
}

/// Whether a sandbox has a policy at the broker, or is about to.
pub(crate) fn has_network(row: &SandboxRow) -> bool {
    let state = matches!(
        row.state(),
        SandboxState::Creating | SandboxState::Running | SandboxState::Paused
    );
    state || lock_ending().contains(&row.id)
}

#[cfg(test)]
mod tests {
    use super::{ending, goes_on, has_network};
    use crate::store::sandboxes::SandboxRow;

    #[test]
    fn a_sandbox_that_is_being_stopped_has_a_network_until_it_has_none() {
        let row = SandboxRow {
            id: "being-stopped".to_owned(),
            state: "stopped".to_owned(),
            ..SandboxRow::default()
        };
        assert!(!has_network(&row));
        ending(&row.id);
        assert!(has_network(&row));
        goes_on(&row.id);
        assert!(!has_network(&row));
    }
}
