//! Network policies: where sandboxes may go.

use miosa_api::egress::{
    CreateEgressRule, EffectivePolicy, EgressPolicy, EgressRule, Explanation, SetEgressMode,
    Suggestion,
};
use miosa_api::mcp::McpTool;
use serde_json::Value;

use crate::path::{path_segment, sandbox};
use crate::{Answer, Client, ClientError};

impl Client {
    /// What all policies and rules come to for a sandbox.
    ///
    /// # Errors
    /// As every call.
    pub async fn effective_policy(&self, id: &str) -> Result<Answer<EffectivePolicy>, ClientError> {
        self.get(sandbox(id, "/egress")?).answer().await
    }

    /// What would become of a request of a sandbox; nothing is sent.
    ///
    /// # Errors
    /// As every call; `VALIDATION_FAILED` for what is no address.
    pub async fn explain(
        &self,
        id: &str,
        method: &str,
        url: &str,
    ) -> Result<Answer<Explanation>, ClientError> {
        self.get(sandbox(id, "/egress/explain")?)
            .query("method", method)
            .query("url", url)
            .answer()
            .await
    }

    /// Tools of the MCP servers of a sandbox's connectors, or of one, and whether it may call them.
    ///
    /// # Errors
    /// As every call; `PREFLIGHT_FAILED` when a server does not answer as it should.
    pub async fn mcp_tools(
        &self,
        id: &str,
        connector: Option<&str>,
    ) -> Result<Answer<Vec<McpTool>>, ClientError> {
        self.get(sandbox(id, "/mcp/tools")?)
            .query("connector", connector.unwrap_or_default())
            .answer()
            .await
    }

    /// Sets the mode of a tenant, workspace or sandbox.
    ///
    /// # Errors
    /// As every call.
    pub async fn set_egress_mode(
        &self,
        body: &SetEgressMode,
    ) -> Result<Answer<EgressPolicy>, ClientError> {
        self.patch("/egress/policies").json(body)?.answer().await
    }

    /// Adds a rule; it is in force when this returns.
    ///
    /// # Errors
    /// As every call; `VALIDATION_FAILED` for what is no rule.
    pub async fn create_egress_rule(
        &self,
        body: &CreateEgressRule,
    ) -> Result<Answer<EgressRule>, ClientError> {
        self.post("/egress/allowlist").json(body)?.answer().await
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// As every call; `NOT_FOUND`.
    pub async fn delete_egress_rule(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        let id = path_segment("a rule's id", id)?;
        self.delete(format!("/egress/allowlist/{id}"))
            .answer()
            .await
    }

    /// Hosts a sandbox asked for that have no rule.
    ///
    /// # Errors
    /// As every call.
    pub async fn suggestions(
        &self,
        id: &str,
        since: &str,
    ) -> Result<Answer<Vec<Suggestion>>, ClientError> {
        self.hosts("/egress/audit/suggestions", id, since).await
    }

    /// Hosts a sandbox was refused that wait for a decision.
    ///
    /// # Errors
    /// As every call.
    pub async fn pending_hosts(
        &self,
        id: &str,
        since: &str,
    ) -> Result<Answer<Vec<Suggestion>>, ClientError> {
        self.hosts("/egress/pending", id, since).await
    }

    async fn hosts(
        &self,
        path: &str,
        id: &str,
        since: &str,
    ) -> Result<Answer<Vec<Suggestion>>, ClientError> {
        self.get(path)
            .query("resource_type", "sandbox")
            .query("resource_id", id)
            .query("since", since)
            .answer()
            .await
    }
}
