//! Audit events of egress: one per request of a sandbox, written by the broker as lines of JSON.
//!
//! A request that carries a credential is written before its answer is passed on and again, with the
//! same id and its final numbers, when it ended: a later line of an id replaces the earlier.

use serde::{Deserialize, Serialize};

/// One request of a sandbox and what became of it. Never holds a header's value, a query or a placeholder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AuditEvent {
    /// Its id.
    pub id: String,
    /// When it ended (RFC 3339, microseconds).
    pub inserted_at: String,
    /// `allow`, `reject`, `error` or `client_cancel`.
    pub action: String,
    /// `allow` or `deny`: the decision.
    pub effect: String,
    /// Stable code of a refusal ([`crate::broker::RefusalCode`]).
    pub code: Option<String>,
    /// How it went: `intercept`, `tunnel`, `http`, `dns` or `connect`.
    pub transport: String,
    /// Host as decided on.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Method, where HTTP was seen.
    pub method: Option<String>,
    /// Path without its query, where HTTP was seen.
    pub path: Option<String>,
    /// Method of an MCP message, where rules made the broker read it; of a batch all, with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_method: Option<String>,
    /// Tool, resource or prompt it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_name: Option<String>,
    /// Status answered to the sandbox; 0 for none.
    pub status_code: u16,
    /// What decided: a rule's id, `binding:<id>`, or `mode:enforce` and `mode:audit_only` where no rule is about
    /// the request. Absent where the broker refused for a reason of its own, which is the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<String>,
    /// The policy that rule or mode is of, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    /// Uid of the connector whose credential was put in.
    pub connector: Option<String>,
    /// Binding of that.
    pub binding_id: Option<String>,
    /// Whether a credential was put in.
    pub swapped: bool,
    /// Whether the provider sent the credential back and it was taken out.
    pub redacted: bool,
    /// The sandbox.
    pub resource_id: String,
    /// `sandbox`.
    pub resource_type: String,
    /// Owner of the sandbox.
    pub tenant_id: String,
    /// Generation of the policy that decided.
    pub policy_generation: u64,
    /// Milliseconds.
    pub duration_ms: u64,
    /// Bytes from the sandbox.
    pub bytes_out: u64,
    /// Bytes to the sandbox.
    pub bytes_in: u64,
    /// Its number in the chain of all events ([`crate::audit_chain`]); like the hashes, put in when it is
    /// written.
    #[serde(default, skip_serializing_if = "is_none")]
    pub seq: u64,
    /// Hash of the event before it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prev: String,
    /// Hash of this event and `prev`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

const fn is_none(seq: &u64) -> bool {
    *seq == 0
}
