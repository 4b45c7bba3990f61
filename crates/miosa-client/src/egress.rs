//! What left a sandbox, and what was refused.

use miosa_api::audit::AuditEvent;
use miosa_api::audit_chain::Report;

use crate::{Answer, Client, ClientError};

/// Which audit events to list.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only of this sandbox.
    pub sandbox: Option<String>,
    /// Only to this host.
    pub host: Option<String>,
    /// Only with this action (`allow`, `reject`, `error`).
    pub action: Option<String>,
    /// Only after this moment (RFC 3339, or an age such as `7d`).
    pub since: Option<String>,
    /// Only up to this moment, in the same words.
    pub until: Option<String>,
    /// How many.
    pub limit: Option<u32>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

impl Client {
    /// Whether the server's audit file is as its broker wrote it.
    ///
    /// # Errors
    /// As every call.
    pub async fn audit_verify(&self) -> Result<Answer<Report>, ClientError> {
        self.get("/egress/audit/verify").answer().await
    }

    /// Audit events of egress, newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Answer<Vec<AuditEvent>>, ClientError> {
        let kind = query.sandbox.as_ref().map(|_| "sandbox");
        self.get("/egress/audit")
            .query_opt("resource_id", query.sandbox.as_deref())
            .query_opt("resource_type", kind)
            .query_opt("host", query.host.as_deref())
            .query_opt("action", query.action.as_deref())
            .query_opt("since", query.since.as_deref())
            .query_opt("until", query.until.as_deref())
            .query_opt("limit", query.limit)
            .query_opt("cursor", query.cursor.as_deref())
            .answer()
            .await
    }
}
