//! Who the caller is, and how a person logs in from a terminal.

use miosa_api::identity::Tenant;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Answer, Client, ClientError};

/// A login that waits for a person at another screen.
#[derive(Clone, Deserialize)]
pub struct DeviceLogin {
    /// What the terminal polls with.
    pub device_code: String,
    /// What the person compares.
    pub user_code: String,
    /// Where to go.
    pub verification_uri: String,
    /// The same with the code filled in.
    pub verification_uri_complete: Option<String>,
    /// Seconds until it is too late.
    pub expires_in: u64,
    /// Seconds between two polls.
    pub interval: u64,
}

/// The end of a device login. Deliberately not `Debug`.
#[derive(Clone, Deserialize)]
pub struct DeviceToken {
    /// The key.
    pub api_key: String,
}

impl Client {
    /// The tenant the key belongs to.
    ///
    /// # Errors
    /// As every call; `UNAUTHORIZED`.
    pub async fn tenant(&self) -> Result<Answer<Tenant>, ClientError> {
        self.get("/platform/tenants/current").answer().await
    }

    /// What is billed (nothing, on a server of one's own).
    ///
    /// # Errors
    /// As every call.
    pub async fn billing_overview(&self) -> Result<Answer<Value>, ClientError> {
        self.get("/billing/overview").answer().await
    }

    /// What this server can do.
    ///
    /// # Errors
    /// As every call.
    pub async fn capabilities(&self) -> Result<Answer<Value>, ClientError> {
        self.get("/runtime-capabilities").answer().await
    }

    /// Begins a device login.
    ///
    /// # Errors
    /// As every call.
    pub async fn start_login(&self, client_name: &str) -> Result<Answer<DeviceLogin>, ClientError> {
        self.post("/auth/cli/start")
            .json(&json!({"client_name": client_name}))?
            .answer()
            .await
    }

    /// Asks whether a device login was approved.
    ///
    /// # Errors
    /// As every call; `AUTHORIZATION_PENDING`, `EXPIRED_TOKEN`.
    pub async fn login_token(&self, device_code: &str) -> Result<Answer<DeviceToken>, ClientError> {
        self.post("/auth/cli/token")
            .json(&json!({"device_code": device_code}))?
            .answer()
            .await
    }
}
