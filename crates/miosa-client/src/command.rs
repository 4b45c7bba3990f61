//! Detached commands of a sandbox.

use miosa_api::exec::Command;
use serde_json::Value;

use crate::path::{path_segment, sandbox};
use crate::{Answer, Client, ClientError};

impl Client {
    /// Starts a command that outlives the call.
    ///
    /// # Errors
    /// As every call.
    pub async fn start_command(
        &self,
        id: &str,
        body: &Value,
    ) -> Result<Answer<Command>, ClientError> {
        self.post(sandbox(id, "/commands")?)
            .json(body)?
            .answer()
            .await
    }

    /// One detached command.
    ///
    /// # Errors
    /// As every call.
    pub async fn command(&self, id: &str, command: &str) -> Result<Answer<Command>, ClientError> {
        self.get(of(id, command, "")?).answer().await
    }

    /// The end of a detached command's output.
    ///
    /// # Errors
    /// As every call.
    pub async fn command_logs(
        &self,
        id: &str,
        command: &str,
        tail: Option<u32>,
    ) -> Result<Answer<Value>, ClientError> {
        self.get(of(id, command, "/logs")?)
            .query_opt("tail", tail)
            .answer()
            .await
    }

    /// Kills a detached command.
    ///
    /// # Errors
    /// As every call.
    pub async fn kill_command(
        &self,
        id: &str,
        command: &str,
    ) -> Result<Answer<Value>, ClientError> {
        self.post(of(id, command, "/kill")?)
            .json(&serde_json::json!({}))?
            .answer()
            .await
    }
}

fn of(id: &str, command: &str, rest: &str) -> Result<String, ClientError> {
    let command = path_segment("a command's id", command)?;
    sandbox(id, &format!("/commands/{command}{rest}"))
}
