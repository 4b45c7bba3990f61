//! Plain variables of a sandbox.

use miosa_api::env::{EnvPut, EnvVar};
use serde_json::{Value, json};

use crate::path::{path_segment, sandbox};
use crate::{Answer, Client, ClientError};

impl Client {
    /// Names and shortened values.
    ///
    /// # Errors
    /// As every call.
    pub async fn env(&self, id: &str) -> Result<Answer<Vec<EnvVar>>, ClientError> {
        self.get(sandbox(id, "/env")?).answer().await
    }

    /// Sets variables; others stay.
    ///
    /// # Errors
    /// As every call.
    pub async fn put_env(&self, id: &str, body: &EnvPut) -> Result<Answer<Value>, ClientError> {
        self.put(sandbox(id, "/env")?).json(body)?.answer().await
    }

    /// Removes a variable.
    ///
    /// # Errors
    /// As every call.
    pub async fn delete_env(&self, id: &str, name: &str) -> Result<Answer<Value>, ClientError> {
        let name = path_segment("a variable's name", name)?;
        self.delete(sandbox(id, &format!("/env/{name}"))?)
            .answer()
            .await
    }

    /// Brings the variables into the sandbox again.
    ///
    /// # Errors
    /// As every call.
    pub async fn sync_env(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.post(sandbox(id, "/env/sync")?)
            .json(&json!({}))?
            .answer()
            .await
    }
}
