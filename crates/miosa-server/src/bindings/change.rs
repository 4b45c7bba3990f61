//! Detaching, pushing again, and what a changed connector means for its bindings.

use std::collections::BTreeSet;

use miosa_api::error::ErrorCode;
use serde_json::json;

use super::{Bound, all, live, lock};
use crate::store::bindings::{self, DETACHING};
use crate::store::connectors::ConnectorRow;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, events, policy};

/// Detaches by binding id, or all bindings of a connector by its uid or id.
pub async fn detach(app: &App, sandbox: &SandboxRow, key: &str) -> Result<(), ApiError> {
    let _one_change = lock(&sandbox.id).await;
    let mut gone = all(app, &sandbox.id).await?;
    gone.retain(|b| b.row.id == key || b.connector.uid == key || b.connector.id == key);
    if gone.is_empty() {
        return Err(ApiError::not_found("attached connector", key)
            .with_hint("`miosa sandbox connectors list` shows what is attached"));
    }
    take_out_of_force(app, &sandbox.tenant_id, &sandbox.id, gone).await
}

/// Hidden from commands first; a broker that cannot be told leaves it hidden, and the next try ends it.
async fn take_out_of_force(
    app: &App,
    tenant_id: &str,
    sandbox_id: &str,
    gone: Vec<Bound>,
) -> Result<(), ApiError> {
    for bound in &gone {
        bindings::set_state(&app.pool, &bound.row.id, DETACHING).await?;
    }
    policy::push_if(app, sandbox_id, policy::is_there).await?;
    for bound in gone {
        bindings::delete(&app.pool, &bound.row.id).await?;
        let facts = json!({
            "binding_id": bound.row.id, "connector": bound.connector.uid, "env_name": bound.row.env_name,
        });
        events::emit(
            app,
            tenant_id,
            sandbox_id,
            "sandbox.connector.detached",
            facts,
        )
        .await;
    }
    Ok(())
}

/// Detaches a connector from every sandbox, before it is deleted.
pub async fn detach_all_of(app: &App, connector: &ConnectorRow) -> Result<(), ApiError> {
    for row in bindings::of_connector(&app.pool, &connector.id).await? {
        let _one_change = lock(&row.sandbox_id).await;
        let (tenant_id, sandbox_id) = (row.tenant_id.clone(), row.sandbox_id.clone());
        let bound = Bound {
            row,
            connector: connector.clone(),
            definition: None,
        };
        take_out_of_force(app, &tenant_id, &sandbox_id, vec![bound]).await?;
    }
    Ok(())
}

/// Puts a connector's new secret in force in every sandbox it is attached to.
pub async fn push_all_of(app: &App, connector_id: &str) -> Result<(), ApiError> {
    let rows = bindings::of_connector(&app.pool, connector_id).await?;
    let sandboxes: BTreeSet<String> = rows.into_iter().map(|row| row.sandbox_id).collect();
    for sandbox_id in sandboxes {
        let pushed = policy::push_if(app, &sandbox_id, policy::is_there).await;
        pushed.map_err(|mut error| {
            if error.code == ErrorCode::BrokerUnavailable {
                "the new secret is stored, but the egress broker does not answer: until it does, nothing is sent"
                    .clone_into(&mut error.message);
            }
            error
        })?;
    }
    Ok(())
}

/// Puts everything in force again; the variables commands see.
pub async fn sync(app: &App, sandbox: &SandboxRow) -> Result<Vec<String>, ApiError> {
    let _one_change = lock(&sandbox.id).await;
    policy::push(app, &sandbox.id).await?;
    let bound = live(app, &sandbox.id).await?;
    Ok(bound.into_iter().map(|b| b.row.env_name).collect())
}
