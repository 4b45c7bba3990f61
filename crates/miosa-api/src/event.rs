//! Events of a sandbox (`GET /sandboxes/{id}/events`, SSE).

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Event {
    /// Counts up over all events of the server; the SSE `id`, resumed by `Last-Event-ID`.
    pub id: i64,
    /// `sandbox.created`, `sandbox.started`, `sandbox.exec.started`, `sandbox.connector.attached`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The sandbox.
    pub sandbox_id: String,
    /// When (RFC 3339).
    pub created_at: String,
    /// Facts; never a value of a secret or a full placeholder.
    #[schema(value_type = Object)]
    pub data: Value,
}
