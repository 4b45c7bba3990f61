//! What a policy or rule belongs to.

use miosa_api::sandbox::SandboxState;

use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App};

/// Longest id of a workspace.
const WORKSPACE_CHARS_MAX: usize = 128;

/// A tenant, one of its workspaces, or one of its sandboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Owner.
    pub tenant_id: String,
    /// `tenant`, `workspace` or `sandbox`.
    pub resource_type: String,
    /// Which; empty for the tenant.
    pub resource_id: String,
}

impl Place {
    /// Reads a request's two fields. A foreign sandbox is like none.
    pub async fn read(
        app: &App,
        tenant_id: &str,
        resource_type: Option<&str>,
        resource_id: Option<&str>,
    ) -> Result<Self, ApiError> {
        let id = resource_id.unwrap_or_default();
        let implied = if id.is_empty() { "tenant" } else { "sandbox" };
        let kind = match resource_type.filter(|kind| !kind.is_empty()) {
            None => implied,
            Some("tenant") => "tenant",
            Some("workspace") => "workspace",
            Some("sandbox" | "computer") => "sandbox",
            Some(_) => {
                let why = "it is `sandbox`, `workspace` or `tenant`";
                return Err(ApiError::invalid("resource_type", why));
            }
        };
        if (kind == "tenant") != id.is_empty() {
            let why = "a sandbox or workspace is named by it; a tenant has none";
            return Err(ApiError::invalid("resource_id", why));
        }
        if id.chars().count() > WORKSPACE_CHARS_MAX {
            return Err(ApiError::invalid("resource_id", "it is too long"));
        }
        if kind == "sandbox" && !is_there(app, tenant_id, id).await? {
            return Err(ApiError::not_found("sandbox", id)
                .with_hint("`miosa sandbox list` shows the sandboxes of this tenant"));
        }
        Ok(Self {
            tenant_id: tenant_id.to_owned(),
            resource_type: kind.to_owned(),
            resource_id: id.to_owned(),
        })
    }

    /// Whether a sandbox is ruled by what belongs here.
    #[must_use]
    pub fn rules(&self, sandbox: &SandboxRow) -> bool {
        self.tenant_id == sandbox.tenant_id
            && match self.resource_type.as_str() {
                "tenant" => true,
                "workspace" => sandbox.workspace_id.as_deref() == Some(&self.resource_id),
                _ => sandbox.id == self.resource_id,
            }
    }
}

/// What a destroyed sandbox was given would never be taken away again.
async fn is_there(app: &App, tenant_id: &str, id: &str) -> Result<bool, ApiError> {
    let row = sandboxes::get(&app.pool, tenant_id, id).await?;
    Ok(row.is_some_and(|row| row.state() != SandboxState::Destroyed))
}
