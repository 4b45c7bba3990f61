//! Approvals: calls of MCP tools that a person is asked about before they go out. One type for the API and the
//! broker, where the calls wait.

use serde::{Deserialize, Serialize};

/// A request of a sandbox that a person decides on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Approval {
    /// Its id, also in the audit.
    pub id: String,
    /// The sandbox that asks.
    pub sandbox_id: String,
    /// Uid of the connector it would use.
    pub connector: String,
    /// What it would do: one call, or all of a batch that a rule asks about. Text of the sandbox, not to be trusted.
    pub calls: Vec<ApprovalCall>,
    /// Where it is.
    pub status: ApprovalStatus,
    /// Whether the sandbox waits at this moment; if not, the answer counts when it sends the same again.
    pub waiting: bool,
    /// When it was asked (RFC 3339).
    pub asked_at: String,
    /// When it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<String>,
    /// Id of the key that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// Why, in the words of who answered; the agent reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApprovalCall {
    /// Method of the protocol.
    pub method: String,
    /// Tool, resource or prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its arguments as JSON text, cut where it is long.
    pub arguments: String,
}

/// Where an approval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalStatus {
    /// Nobody answered yet.
    Pending,
    /// It may go, once.
    Approved,
    /// It may not.
    Denied,
}

/// Body of `POST /actions/approvals/{id}/approve` and `…/deny`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct AnswerApproval {
    /// Why; the agent reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Question of the server to the broker, `POST /v1/approvals`; answered with a list of [`Approval`]s.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskApprovals {
    /// Of whom.
    pub tenant_id: String,
}

/// What the server tells the broker, `POST /v1/approvals/answer`; answered with the [`Approval`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalAnswer {
    /// Which.
    pub id: String,
    /// Of whom it must be.
    pub tenant_id: String,
    /// Whether it may go.
    pub approve: bool,
    /// Id of the key that answers.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}
