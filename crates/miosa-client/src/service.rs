//! Named long-running processes of a sandbox.

use serde_json::{Value, json};

use crate::path::{path_segment, sandbox};
use crate::{Answer, Client, ClientError};

impl Client {
    /// Starts a service.
    ///
    /// # Errors
    /// As every call.
    pub async fn start_service(
        &self,
        id: &str,
        name: &str,
        command: &str,
        cwd: &str,
    ) -> Result<Answer<Value>, ClientError> {
        self.post(sandbox(id, "/services")?)
            .json(&json!({"name": name, "command": command, "cwd": cwd}))?
            .answer()
            .await
    }

    /// Restarts a service.
    ///
    /// # Errors
    /// As every call.
    pub async fn restart_service(
        &self,
        id: &str,
        name: &str,
    ) -> Result<Answer<Value>, ClientError> {
        self.post(of(id, name, "/restart")?)
            .json(&json!({}))?
            .answer()
            .await
    }

    /// How a service is.
    ///
    /// # Errors
    /// As every call.
    pub async fn service(&self, id: &str, name: &str) -> Result<Answer<Value>, ClientError> {
        self.get(of(id, name, "")?).answer().await
    }

    /// The last lines of a service's output.
    ///
    /// # Errors
    /// As every call.
    pub async fn service_logs(
        &self,
        id: &str,
        name: &str,
        tail: u32,
    ) -> Result<Answer<Value>, ClientError> {
        self.get(of(id, name, "/logs")?)
            .query("tail", tail)
            .answer()
            .await
    }
}

fn of(id: &str, name: &str, rest: &str) -> Result<String, ClientError> {
    let name = path_segment("a service's name", name)?;
    sandbox(id, &format!("/services/{name}{rest}"))
}
