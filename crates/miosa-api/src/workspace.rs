//! Workspaces: groups of a tenant's sandboxes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Body of `POST /workspaces`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct CreateWorkspace {
    /// For people; another live one of this name is a conflict.
    pub name: String,
    /// Handle; made of the name when absent.
    pub slug: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Free facts.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// The caller's own id of it: one that is known already is the answer, and nothing is made.
    pub external_workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// Two of one name are meant.
    pub allow_duplicate_name: bool,
}

/// Body of `PATCH /workspaces/{id}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct PatchWorkspace {
    /// New name.
    pub name: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// Replaces the free facts.
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
}

/// A workspace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Workspace {
    /// Its id.
    pub id: String,
    /// Owner.
    pub tenant_id: String,
    /// For people.
    pub name: String,
    /// Handle.
    pub slug: String,
    /// For people.
    pub description: Option<String>,
    /// Free facts.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// The caller's own id of it.
    pub external_workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}
