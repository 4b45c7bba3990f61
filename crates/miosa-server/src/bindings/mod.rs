//! Connectors attached to sandboxes.
//!
//! INVARIANT: a placeholder is visible to commands only while the broker has its binding in force. An
//! attach is row → broker → visible; a detach is hidden → broker → row gone. One change of a sandbox at
//! a time.

mod attach;
mod change;

use std::collections::BTreeMap;

use miosa_api::broker::BindingPolicy;
use miosa_api::connector::Binding;
use miosa_api::mcp::McpPolicy;
use miosa_vault::placeholder;
use tokio::sync::MutexGuard;

pub use attach::attach;
pub use change::{detach, detach_all_of, push_all_of, sync};

use crate::agents::BoundConnector;
use crate::clock::rfc3339;
use crate::connectors::Definition;
use crate::locks::Locks;
use crate::store::bindings::{self, BindingRow, DETACHING, LIVE};
use crate::store::connectors::{self, ConnectorRow};
use crate::{ApiError, App};

/// A binding with its connector and where that belongs.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The binding.
    pub row: BindingRow,
    /// The connector.
    pub connector: ConnectorRow,
    /// Its definition; `None` when the operator took it away, and then it opens nothing.
    pub definition: Option<Definition>,
}

impl Bound {
    /// As it is listed: never the whole placeholder.
    #[must_use]
    pub fn view(&self) -> Binding {
        Binding {
            id: self.row.id.clone(),
            connector: self.connector.uid.clone(),
            provider: self.connector.provider.clone(),
            env_name: self.row.env_name.clone(),
            expose_as_env: self.row.env_name.clone(),
            mode: "brokered_env".to_owned(),
            placeholder_preview: placeholder::preview(&self.row.placeholder),
            resource_id: self.row.sandbox_id.clone(),
            resource_type: "sandbox".to_owned(),
            endpoints: self
                .definition
                .as_ref()
                .map_or_else(Vec::new, Definition::endpoint_texts),
            mcp: self.narrowed().unwrap_or_default(),
            created_at: rfc3339(self.row.created_at),
        }
    }

    /// As an agent may know it.
    #[must_use]
    pub fn for_agent(&self) -> BoundConnector {
        BoundConnector {
            uid: self.connector.uid.clone(),
            provider: self.connector.provider.clone(),
            env_name: self.row.env_name.clone(),
            mcp: self.definition.as_ref().and_then(|d| d.mcp.clone()),
        }
    }

    /// By what the attachment narrows the connector's MCP server.
    fn narrowed(&self) -> Result<Option<McpPolicy>, serde_json::Error> {
        self.row
            .mcp
            .as_deref()
            .map(serde_json::from_str)
            .transpose()
    }

    fn is_live(&self) -> bool {
        self.row.state == LIVE
    }
}

/// All of a sandbox, in whatever state.
pub async fn all(app: &App, sandbox_id: &str) -> Result<Vec<Bound>, ApiError> {
    let mut bound = Vec::new();
    for row in bindings::of_sandbox(&app.pool, sandbox_id).await? {
        let Some(connector) = connectors::get_any(&app.pool, &row.connector_id).await? else {
            continue;
        };
        let definition = app.catalog.of(&connector.uid, &connector.provider).cloned();
        bound.push(Bound {
            row,
            connector,
            definition,
        });
    }
    Ok(bound)
}

/// Those in force.
pub async fn live(app: &App, sandbox_id: &str) -> Result<Vec<Bound>, ApiError> {
    let mut bound = all(app, sandbox_id).await?;
    bound.retain(Bound::is_live);
    Ok(bound)
}

/// Variables of a sandbox's live bindings with what stands in its environment.
pub async fn placeholders(
    app: &App,
    sandbox_id: &str,
) -> Result<BTreeMap<String, String>, ApiError> {
    let bound = live(app, sandbox_id).await?;
    let mut all = BTreeMap::new();
    for one in &bound {
        let more = one.definition.iter().flat_map(|d| &d.more_env_names);
        all.extend(more.map(|name| (name.clone(), one.row.placeholder.clone())));
    }
    // A variable that was chosen for a connector is that connector's.
    all.extend(
        bound
            .into_iter()
            .map(|b| (b.row.env_name, b.row.placeholder)),
    );
    Ok(all)
}

/// A sandbox's bindings as the broker needs them, those under way to be attached included.
pub async fn binding_policies(app: &App, sandbox_id: &str) -> Result<Vec<BindingPolicy>, ApiError> {
    let bound = all(app, sandbox_id).await?;
    Ok(bound
        .into_iter()
        .filter(|b| b.row.state != DETACHING)
        .filter_map(policy)
        .collect())
}

/// Without a definition or a readable value nothing is opened.
fn policy(bound: Bound) -> Option<BindingPolicy> {
    let narrowed = bound.narrowed();
    let budget = bound.connector.budget();
    let (Some(definition), Some(sealed), Ok(narrowed), Ok(budget)) =
        (bound.definition, bound.connector.sealed(), narrowed, budget)
    else {
        tracing::error!(
            connector = bound.connector.uid,
            "a binding without definition or value, or with rules or a budget nobody can read, is left out"
        );
        return None;
    };
    Some(BindingPolicy {
        binding_id: bound.row.id,
        connector: bound.connector.uid,
        env_name: bound.row.env_name,
        placeholder: bound.row.placeholder,
        endpoints: definition.endpoints,
        places: definition.places,
        mcp: definition.mcp.map(|server| server.endpoint(narrowed)),
        budget,
        sealed,
    })
}

/// Removes a destroyed sandbox's bindings.
pub async fn forget(app: &App, sandbox_id: &str) -> Result<(), ApiError> {
    bindings::delete_of_sandbox(&app.pool, sandbox_id).await?;
    Ok(())
}

/// Removes what an ended server left half done. Called at start, before the broker is told anything.
pub async fn recover(app: &App) -> Result<(), ApiError> {
    bindings::delete_unfinished(&app.pool).await?;
    Ok(())
}

static CHANGING: Locks = Locks::new();

/// Held while a sandbox's bindings change.
async fn lock(sandbox_id: &str) -> MutexGuard<'static, ()> {
    CHANGING.of(sandbox_id).await
}
