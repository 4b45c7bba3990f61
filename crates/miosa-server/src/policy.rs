//! What the broker is told of a sandbox: mode, rules and bindings, as one immutable generation.

use miosa_api::broker::{PolicyApplied, SandboxPolicy};
use miosa_api::sandbox::SandboxState;

use crate::locks::Locks;
use crate::network::Effective;
use crate::store::sandboxes;
use crate::{ApiError, App, connectors};

/// INVARIANT: what a push tells was read after the push before it was told. Two that overtake one
/// another would leave the older in force, or be refused as stale.
static PUSHING: Locks = Locks::new();

/// The policy of a sandbox as the database has it now, under a new generation.
async fn build(app: &App, sandbox_id: &str) -> Result<SandboxPolicy, ApiError> {
    let generation = sandboxes::next_policy_generation(&app.pool, sandbox_id).await?;
    let row = sandboxes::get_any(&app.pool, sandbox_id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", sandbox_id))?;
    let bindings = connectors::binding_policies(app, sandbox_id).await?;
    let effective = Effective::of(app, &row).await?;
    Ok(SandboxPolicy {
        generation: u64::try_from(generation).unwrap_or(0),
        tenant_id: row.tenant_id,
        mode: effective.mode,
        rules: effective.broker_rules(),
        bindings,
    })
}

/// Puts the policy in force as the database has it; returns once it is.
pub async fn push(app: &App, sandbox_id: &str) -> Result<PolicyApplied, ApiError> {
    // Before the lock: a broker that starts is told of every sandbox under these locks first.
    app.broker.ready().await?;
    let _one_push = PUSHING.of(sandbox_id).await;
    let policy = build(app, sandbox_id).await?;
    app.broker.put_now(sandbox_id, &policy).await
}

/// Tells a broker that just started about every sandbox with a network.
pub(crate) async fn push_all(app: &App) -> Result<(), ApiError> {
    for row in sandboxes::live(&app.pool).await? {
        if !has_network(row.state()) {
            continue;
        }
        let _one_push = PUSHING.of(&row.id).await;
        let policy = build(app, &row.id).await?;
        app.broker.put_now(&row.id, &policy).await?;
    }
    Ok(())
}

/// Whether a sandbox in this state has a policy at the broker, or is about to.
pub(crate) fn has_network(state: SandboxState) -> bool {
    matches!(
        state,
        SandboxState::Creating | SandboxState::Running | SandboxState::Paused
    )
}
