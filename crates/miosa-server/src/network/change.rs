//! Changes of policies and rules, each in force everywhere it reaches before it is answered.

use miosa_api::broker::{Effect, PolicyMode};
use miosa_api::egress::{CreateEgressPolicy, CreateEgressRule, PatchEgressPolicy};
use miosa_api::limits::{NETWORK_POLICIES_MAX, NETWORK_RULES_MAX, NETWORK_RULES_PER_TENANT_MAX};
use tokio::sync::MutexGuard;
use uuid::Uuid;

use super::effective::denies_all;
use super::{Place, rule};
use crate::clock::now_ms;
use crate::locks::Locks;
use crate::store::network_policies::{self, PolicyRow};
use crate::store::network_rules::{self, Filter, RuleRow};
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, policy};

/// Longest name, note or description.
const TEXT_CHARS_MAX: usize = 500;

/// Puts what the database has in force in every sandbox a place rules, or takes the change back.
async fn settle<F>(app: &App, place: &Place, undo: F) -> Result<(), ApiError>
where
    F: Future<Output = Result<(), sqlx::Error>>,
{
    let Err(error) = push(app, place).await else {
        return Ok(());
    };
    undo.await?;
    // Those that had it already get the old one back; a broker that is gone gets it when it returns.
    if let Err(again) = push(app, place).await {
        tracing::error!(%again, "a network policy that was taken back could not be put in force");
    }
    Err(error)
}

async fn push(app: &App, place: &Place) -> Result<(), ApiError> {
    let one = match place.resource_type.as_str() {
        "sandbox" => &place.resource_id,
        _ => "",
    };
    for row in sandboxes::live_of(&app.pool, &place.tenant_id, one).await? {
        if place.rules(&row) {
            policy::push_if(app, &row.id, policy::has_network).await?;
        }
    }
    Ok(())
}

/// INVARIANT: what a change of a tenant's network writes was read after the change before it was in
/// force or taken back. Otherwise a new name would bring back the mode that a lockdown ended.
static CHANGING: Locks = Locks::new();

/// Held while what a tenant's sandboxes may reach is read, changed and put in force.
pub async fn lock(tenant_id: &str) -> MutexGuard<'static, ()> {
    CHANGING.of(tenant_id).await
}

/// Makes a policy.
pub async fn create_policy(
    app: &App,
    tenant_id: &str,
    body: CreateEgressPolicy,
) -> Result<PolicyRow, ApiError> {
    let place = Place::read(
        app,
        tenant_id,
        body.resource_type.as_deref(),
        body.resource_id.as_deref(),
    )
    .await?;
    let _one_change = lock(tenant_id).await;
    make_policy(app, &place, body).await
}

async fn make_policy(
    app: &App,
    place: &Place,
    body: CreateEgressPolicy,
) -> Result<PolicyRow, ApiError> {
    let name = text("name", body.name)?.filter(|name| !name.is_empty());
    if network_policies::count(&app.pool, &place.tenant_id).await? >= NETWORK_POLICIES_MAX {
        let why = format!("there are {NETWORK_POLICIES_MAX} policies already; remove one");
        return Err(ApiError::invalid("resource_id", why));
    }
    let now = now_ms();
    let row = PolicyRow {
        id: Uuid::now_v7().to_string(),
        tenant_id: place.tenant_id.clone(),
        resource_type: place.resource_type.clone(),
        resource_id: place.resource_id.clone(),
        name: name.unwrap_or_else(|| "default".to_owned()),
        description: text("description", body.description)?,
        mode: mode_word(body.mode.unwrap_or(PolicyMode::Enforce)).to_owned(),
        default_effect: effect_word(body.default_effect.unwrap_or(Effect::Deny)).to_owned(),
        created_at: now,
        updated_at: now,
    };
    network_policies::insert(&app.pool, &row).await?;
    settle(app, place, network_policies::delete(&app.pool, &row.id)).await?;
    Ok(row)
}

/// Changes a policy.
pub async fn patch_policy(
    app: &App,
    tenant_id: &str,
    id: &str,
    body: PatchEgressPolicy,
) -> Result<PolicyRow, ApiError> {
    let _one_change = lock(tenant_id).await;
    let before = find_policy(app, tenant_id, id).await?;
    let mut row = before.clone();
    if let Some(name) = text("name", body.name)? {
        row.name = name;
    }
    if let Some(description) = text("description", body.description)? {
        row.description = Some(description);
    }
    if let Some(mode) = body.mode {
        mode_word(mode).clone_into(&mut row.mode);
    }
    if let Some(effect) = body.default_effect {
        effect_word(effect).clone_into(&mut row.default_effect);
    }
    row.updated_at = now_ms();
    network_policies::save(&app.pool, &row).await?;
    let place = place_of_policy(&row);
    settle(app, &place, network_policies::save(&app.pool, &before)).await?;
    Ok(row)
}

/// Sets the mode of a place, whatever policies it has; one is made where there is none. Lockdown is
/// lockdown: what `enforce` does with hosts without a rule becomes `deny`.
pub async fn set_mode(app: &App, place: &Place, mode: PolicyMode) -> Result<PolicyRow, ApiError> {
    let _one_change = lock(&place.tenant_id).await;
    set_mode_locked(app, place, mode).await
}

/// [`set_mode`] by who holds the tenant's [`lock`].
pub(crate) async fn set_mode_locked(
    app: &App,
    place: &Place,
    mode: PolicyMode,
) -> Result<PolicyRow, ApiError> {
    let (kind, id) = (&place.resource_type, &place.resource_id);
    let before = network_policies::list(&app.pool, &place.tenant_id, kind, id).await?;
    let Some(first) = before.first().cloned() else {
        let body = CreateEgressPolicy {
            mode: Some(mode),
            ..CreateEgressPolicy::default()
        };
        return make_policy(app, place, body).await;
    };
    let now = now_ms();
    let set = |row: &PolicyRow| PolicyRow {
        mode: mode_word(mode).to_owned(),
        default_effect: match mode {
            PolicyMode::Enforce => effect_word(Effect::Deny).to_owned(),
            PolicyMode::AuditOnly => row.default_effect.clone(),
        },
        updated_at: now,
        ..row.clone()
    };
    for row in &before {
        network_policies::save(&app.pool, &set(row)).await?;
    }
    let undo = async {
        for row in &before {
            network_policies::save(&app.pool, row).await?;
        }
        Ok(())
    };
    settle(app, place, undo).await?;
    Ok(set(&first))
}

/// The mode `metadata.network_policy` newly names, where the sandbox has policies that it is to be set
/// in: whoever speaks last is heard, by whichever of the two ways. A mode that was there before says
/// nothing: metadata is sent back whole when a label changes.
pub async fn mode_for_own(
    app: &App,
    before: &SandboxRow,
    sandbox: &SandboxRow,
) -> Result<Option<(Place, PolicyMode)>, ApiError> {
    let Some(network) = sandbox.network_policy().filter(|n| !n.mode.is_empty()) else {
        return Ok(None);
    };
    let mode_before = before.network_policy().map(|network| network.mode);
    if mode_before.as_deref() == Some(&network.mode) {
        return Ok(None);
    }
    let place = Place {
        tenant_id: sandbox.tenant_id.clone(),
        resource_type: "sandbox".to_owned(),
        resource_id: sandbox.id.clone(),
    };
    let (kind, id) = (&place.resource_type, &place.resource_id);
    let own = network_policies::list(&app.pool, &place.tenant_id, kind, id).await?;
    let mode = if denies_all(&network) {
        PolicyMode::Enforce
    } else {
        PolicyMode::AuditOnly
    };
    Ok((!own.is_empty()).then_some((place, mode)))
}

/// Removes a policy with the rules that were added to it.
pub async fn delete_policy(app: &App, tenant_id: &str, id: &str) -> Result<(), ApiError> {
    let _one_change = lock(tenant_id).await;
    let row = find_policy(app, tenant_id, id).await?;
    let filter = Filter {
        policy_id: row.id.clone(),
        ..Filter::default()
    };
    let rules = network_rules::list(&app.pool, &row.tenant_id, &filter).await?;
    network_policies::delete(&app.pool, &row.id).await?;
    let undo = async {
        network_policies::insert(&app.pool, &row).await?;
        for rule in &rules {
            network_rules::insert(&app.pool, rule).await?;
        }
        Ok(())
    };
    settle(app, &place_of_policy(&row), undo).await
}

/// Adds a rule.
pub async fn create_rule(
    app: &App,
    tenant_id: &str,
    body: CreateEgressRule,
) -> Result<RuleRow, ApiError> {
    let _one_change = lock(tenant_id).await;
    let policy_id = body.policy_id.filter(|id| !id.is_empty());
    let place = match &policy_id {
        Some(id) => place_of_policy(&find_policy(app, tenant_id, id).await?),
        None => {
            let (kind, id) = (body.resource_type.as_deref(), body.resource_id.as_deref());
            Place::read(app, tenant_id, kind, id).await?
        }
    };
    let path = body.path_glob.filter(|path| !path.is_empty());
    let methods = body.methods.unwrap_or_default();
    let matter = rule::check(&body.host, &methods, path.as_deref())?;
    let (kind, id) = (&place.resource_type, &place.resource_id);
    if network_rules::count(&app.pool, tenant_id, kind, id).await? >= NETWORK_RULES_MAX {
        let why = format!("there are {NETWORK_RULES_MAX} rules already; remove one");
        return Err(ApiError::invalid("host", why));
    }
    if network_rules::count(&app.pool, tenant_id, "", "").await? >= NETWORK_RULES_PER_TENANT_MAX {
        let most = NETWORK_RULES_PER_TENANT_MAX;
        let why = format!("the tenant has {most} rules already; remove some");
        return Err(ApiError::invalid("host", why));
    }
    let row = RuleRow {
        id: Uuid::now_v7().to_string(),
        tenant_id: tenant_id.to_owned(),
        policy_id,
        resource_type: place.resource_type.clone(),
        resource_id: place.resource_id.clone(),
        host: matter.host,
        effect: effect_word(body.effect.unwrap_or(Effect::Allow)).to_owned(),
        methods: serde_json::to_string(&matter.methods).map_err(ApiError::internal)?,
        path_glob: matter.path,
        note: text("note", body.note)?,
        created_at: now_ms(),
    };
    network_rules::insert(&app.pool, &row).await?;
    settle(app, &place, network_rules::delete(&app.pool, &row.id)).await?;
    Ok(row)
}

/// Removes a rule.
pub async fn delete_rule(app: &App, tenant_id: &str, id: &str) -> Result<(), ApiError> {
    let _one_change = lock(tenant_id).await;
    let row = find_rule(app, tenant_id, id).await?;
    let place = Place {
        tenant_id: row.tenant_id.clone(),
        resource_type: row.resource_type.clone(),
        resource_id: row.resource_id.clone(),
    };
    network_rules::delete(&app.pool, &row.id).await?;
    settle(app, &place, network_rules::insert(&app.pool, &row)).await
}

/// A tenant's policy.
pub async fn find_policy(app: &App, tenant_id: &str, id: &str) -> Result<PolicyRow, ApiError> {
    network_policies::get(&app.pool, tenant_id, id)
        .await?
        .ok_or_else(|| ApiError::not_found("network policy", id))
}

/// A tenant's rule.
pub async fn find_rule(app: &App, tenant_id: &str, id: &str) -> Result<RuleRow, ApiError> {
    network_rules::get(&app.pool, tenant_id, id)
        .await?
        .ok_or_else(|| ApiError::not_found("network rule", id))
}

fn place_of_policy(row: &PolicyRow) -> Place {
    Place {
        tenant_id: row.tenant_id.clone(),
        resource_type: row.resource_type.clone(),
        resource_id: row.resource_id.clone(),
    }
}

fn text(field: &str, text: Option<String>) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.chars().count() > TEXT_CHARS_MAX => Err(ApiError::invalid(
            field,
            format!("at most {TEXT_CHARS_MAX} characters"),
        )),
        text => Ok(text),
    }
}

const fn mode_word(mode: PolicyMode) -> &'static str {
    match mode {
        PolicyMode::AuditOnly => "audit_only",
        PolicyMode::Enforce => "enforce",
    }
}

const fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}
