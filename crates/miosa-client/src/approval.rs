//! What sandboxes ask a person for.

use miosa_api::approval::{AnswerApproval, Approval};

use crate::path::path_segment;
use crate::{Answer, Client, ClientError};

impl Client {
    /// What waits, and what was answered within the hour; the newest first.
    ///
    /// # Errors
    /// As every call; `BROKER_UNAVAILABLE`.
    pub async fn approvals(
        &self,
        status: Option<&str>,
        sandbox: Option<&str>,
    ) -> Result<Answer<Vec<Approval>>, ClientError> {
        self.get("/actions/approvals")
            .query_opt("status", status)
            .query_opt("sandbox_id", sandbox)
            .answer()
            .await
    }

    /// Lets a call pass, once, or refuses it.
    ///
    /// # Errors
    /// As every call; `NOT_FOUND`, and `RESOURCE_STATE` when it was answered.
    pub async fn answer_approval(
        &self,
        id: &str,
        approve: bool,
        reason: Option<String>,
    ) -> Result<Answer<Approval>, ClientError> {
        let id = path_segment("an approval's id", id)?;
        let verb = if approve { "approve" } else { "deny" };
        self.post(format!("/actions/approvals/{id}/{verb}"))
            .json(&AnswerApproval { reason })?
            .answer()
            .await
    }
}
