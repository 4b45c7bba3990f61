//! Sandboxes: request to create one, and the object every client reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Body of `POST /sandboxes`. Unknown fields are tolerated (the contract has many that only the
/// hosted service uses); known ones are checked.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct CreateSandbox {
    /// Template id; `miosa-sandbox` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    /// Alias of `template_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Snapshot to start from; template, size, variables, ports and connectors are its own where this names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_id: Option<String>,
    /// `snapshot:<id>` means the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Handle for `by-name`, unique among a tenant's live sandboxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Part of the preview host; made up when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// `xs`, `small`, `medium`, `large` or `xl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Virtual CPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<u32>,
    /// Memory in MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u32>,
    /// Disk in MiB.
    #[serde(skip_serializing_if = "Option::is_none", alias = "disk_mb")]
    pub disk_size_mb: Option<u32>,
    /// Seconds from start to pause (persistent) or destruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_sec: Option<i64>,
    /// Seconds without exec, file, preview or terminal use until the same happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_sec: Option<i64>,
    /// Pause instead of destroy at the timeout (default true).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
    /// No idle pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always_on: Option<bool>,
    /// Start the template's application after boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_start: Option<bool>,
    /// Plain variables of every command.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Free facts; `network_policy` in it is obeyed.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// Labels to filter by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `container` or `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Workspace the sandbox belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<String>,
    /// White-label attribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_user_id: Option<String>,
    /// White-label attribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_workspace_id: Option<String>,
    /// White-label attribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_project_id: Option<String>,
}

/// `metadata.network_policy` of a sandbox (the contract's older policy, obeyed by the broker).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct NetworkPolicy {
    /// `allow-all` (log, do not block; private addresses stay refused) or `deny-all`.
    pub mode: String,
    /// Hosts allowed under `deny-all`: exact, or `*.example.com` for one level below.
    pub allowed_domains: Vec<String>,
    /// Address ranges allowed for address literals.
    pub allowed_cidrs: Vec<String>,
    /// Address ranges refused; beats all else.
    pub denied_cidrs: Vec<String>,
}

/// Where a sandbox is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SandboxState {
    /// Being made or started.
    Creating,
    /// Its guest agent answers.
    Running,
    /// Frozen with its processes and memory.
    Paused,
    /// Processes gone, disk kept.
    Stopped,
    /// Could not be started or was lost; `metadata.last_error.reason` says why.
    Error,
    /// Gone.
    Destroyed,
}

impl SandboxState {
    /// The word as it travels and is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::Destroyed => "destroyed",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Creating,
            Self::Running,
            Self::Paused,
            Self::Stopped,
            Self::Error,
            Self::Destroyed,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

/// A sandbox. `state` and `status` are always the same word.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// Part of its preview host.
    pub slug: String,
    /// Its handle.
    pub name: Option<String>,
    /// Template it was made from.
    pub template_id: String,
    /// Content hash of that template when the sandbox was made.
    pub image_id: Option<String>,
    /// Snapshot it was made from, by a fork or by name.
    #[serde(default)]
    pub snapshot_id: Option<String>,
    /// Where it is in its life.
    pub state: SandboxState,
    /// The same word under the name the CLI's tables read.
    pub status: SandboxState,
    /// Whether the guest agent answers.
    pub ready: bool,
    /// When it first answered (RFC 3339).
    pub ready_at: Option<String>,
    /// What isolates it: `container`.
    pub runtime: String,
    /// Named size, or `custom`.
    pub size: String,
    /// Virtual CPUs.
    pub cpu_count: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Disk in MiB.
    pub disk_size_mb: u32,
    /// No idle pause.
    pub always_on: bool,
    /// Pause instead of destroy at the timeout.
    pub persistent: bool,
    /// Lifetime in seconds.
    pub timeout_sec: i64,
    /// Milliseconds left of it.
    pub timeout_remaining_ms: i64,
    /// Idle seconds until pause, if any.
    pub idle_timeout_sec: Option<i64>,
    /// Address of the first exposed port.
    pub preview_url: Option<String>,
    /// Domain under which previews are served.
    pub preview_domain: String,
    /// Milliseconds from start to a guest that answered.
    pub boot_ms: Option<i64>,
    /// Owner.
    pub tenant_id: String,
    /// Workspace.
    pub workspace_id: Option<String>,
    /// Its handle, if it was made here.
    #[serde(default)]
    pub workspace_slug: Option<String>,
    /// Its name, if it was made here.
    #[serde(default)]
    pub workspace_name: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// White-label attribution.
    pub external_workspace_id: Option<String>,
    /// White-label attribution.
    pub external_project_id: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Free facts, and `last_error`.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it last started.
    pub started_at: Option<String>,
    /// When it expires.
    pub expires_at: Option<String>,
    /// When it was destroyed.
    pub destroyed_at: Option<String>,
}

/// Body of `PATCH /sandboxes/{id}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct PatchSandbox {
    /// New handle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Replaces the labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Merged into the metadata, key by key; `null` removes a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// No idle pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always_on: Option<bool>,
    /// Pause instead of destroy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent: Option<bool>,
    /// New lifetime, counted from the last start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_sec: Option<i64>,
    /// New idle timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_sec: Option<i64>,
}

/// Body of `POST /sandboxes/{id}/extend`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ExtendSandbox {
    /// Seconds from now on; the sandbox's own lifetime when absent.
    pub timeout_sec: Option<i64>,
}

/// Answer of `GET /sandboxes/{id}/readiness`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Readiness {
    /// Whether commands can be run.
    pub ready: bool,
    /// The sandbox's state.
    pub status: SandboxState,
    /// Part by part, `ready` or what is missing.
    pub components: BTreeMap<String, String>,
}
