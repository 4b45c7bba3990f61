//! Snapshots: a sandbox's files as they were, and sandboxes made from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Body of `POST /sandboxes/{id}/snapshots`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct CreateSnapshot {
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When it goes by itself: seconds, or a number with `s`, `m`, `h` or `d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expiration: Option<Value>,
}

/// Body of `POST /sandboxes/{id}/fork` and of `POST /snapshots/{id}/fork`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ForkSandbox {
    /// Snapshot of that sandbox to fork from, instead of what it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// Handle of the new sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// White-label attribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_user_id: Option<String>,
    /// Laid over the parent's metadata.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// Lifetime of the new sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_sec: Option<i64>,
    /// Laid over the parent's variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// A snapshot. Values of credentials and placeholders are not part of it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Snapshot {
    /// Its id.
    pub id: String,
    /// The same id under the name other clients read.
    pub snapshot_id: String,
    /// Sandbox it was taken of.
    pub sandbox_id: String,
    /// What it was taken of, as account-wide lists have it.
    pub resource: SnapshotResource,
    /// For people.
    pub comment: Option<String>,
    /// `ready`: one that is not is not shown.
    pub status: String,
    /// Snapshot under it, if it lies over one.
    pub parent_snapshot_id: Option<String>,
    /// Bytes of what changed since the sandbox was made, forked or restored.
    pub size_bytes: i64,
    /// Milliseconds the sandbox was held still.
    pub held_ms: i64,
    /// Template under all.
    pub template_id: String,
    /// Names of plain variables it carries.
    pub env_keys: Vec<String>,
    /// Exposed ports it carries.
    pub ports: Vec<u16>,
    /// Connectors that a sandbox made from it is bound to anew.
    pub connectors: Vec<SnapshotConnector>,
    /// Workspace.
    pub workspace_id: Option<String>,
    /// When it was taken (RFC 3339).
    pub created_at: String,
    /// When it goes by itself.
    pub expires_at: Option<String>,
}

/// What a snapshot was taken of.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SnapshotResource {
    /// `sandbox`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its handle, when the snapshot was taken.
    pub name: Option<String>,
}

/// A binding's definition: never a value, never a placeholder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SnapshotConnector {
    /// The connector.
    pub connector: String,
    /// Variable it is attached to.
    pub env_name: String,
}
