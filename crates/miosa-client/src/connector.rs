//! Connectors, and what of them is attached to a sandbox.

use std::time::Duration;

use miosa_api::budget::Budget;
use miosa_api::connector::{AttachConnector, Binding, CatalogEntry, Connector, TokenAnswer};
use miosa_api::preflight::{Preflight, PreflightRequest};
use serde::Serialize;
use serde_json::{Value, json};

use crate::path::{path_segment, sandbox};
use crate::{Answer, Client, ClientError};

/// A preflight probes real providers.
const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(120);

/// A connector to be made. Holds the secret: neither `Debug` nor `Clone`.
#[derive(Serialize)]
pub struct NewConnector<'a> {
    /// Provider of a shipped definition.
    pub provider: &'a str,
    /// `api-key`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// `<provider>/<name>`.
    pub uid: &'a str,
    /// `tenant`, `workspace` or `user`.
    pub scope: &'a str,
    /// Workspace, for that scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace_id: Option<&'a str>,
    /// The secret.
    pub credential: NewCredential<'a>,
}

/// The secret of a [`NewConnector`].
#[derive(Serialize)]
pub struct NewCredential<'a> {
    field: &'static str,
    value: &'a str,
}

impl<'a> NewCredential<'a> {
    /// A key as it is sent in one request.
    #[must_use]
    pub const fn api_key(value: &'a str) -> Self {
        Self {
            field: "api_key",
            value,
        }
    }
}

impl<'a> NewConnector<'a> {
    /// A connector that holds an API key, for the whole tenant.
    #[must_use]
    pub const fn api_key(provider: &'a str, uid: &'a str, value: &'a str) -> Self {
        Self {
            provider,
            kind: "api-key",
            uid,
            scope: "tenant",
            workspace_id: None,
            credential: NewCredential::api_key(value),
        }
    }
}

/// For whom a token is asked.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TokenQuery {
    /// `{"type":"app"}`, `{"type":"user","id":…}` or `{"type":"jwt-bearer","sub":…}`.
    pub subject: Value,
    /// Installation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<String>,
    /// Scopes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Audience.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    /// Least time the token must still be valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity_buffer_ms: Option<u64>,
}

impl Client {
    /// What connectors can be made of, or attached.
    ///
    /// # Errors
    /// As every call.
    pub async fn connector_catalog(&self) -> Result<Answer<Vec<CatalogEntry>>, ClientError> {
        self.get("/connect/catalog").answer().await
    }

    /// All connectors the caller may use.
    ///
    /// # Errors
    /// As every call.
    pub async fn connectors(&self) -> Result<Answer<Vec<Connector>>, ClientError> {
        self.get("/connect/connectors").answer().await
    }

    /// One connector by uid or id.
    ///
    /// # Errors
    /// As every call; `CONNECTOR_NOT_FOUND`.
    pub async fn connector(&self, uid: &str) -> Result<Answer<Connector>, ClientError> {
        self.get(connector(uid)?).answer().await
    }

    /// Stores a secret as a connector.
    ///
    /// # Errors
    /// As every call; `INVALID_SECRET`, `UNKNOWN_PROVIDER`, `NAME_TAKEN`.
    pub async fn create_connector(
        &self,
        body: &NewConnector<'_>,
    ) -> Result<Answer<Connector>, ClientError> {
        self.post("/connect/connectors").json(body)?.answer().await
    }

    /// Replaces the secret; placeholders stay.
    ///
    /// # Errors
    /// As [`Client::create_connector`].
    pub async fn rotate_connector(
        &self,
        uid: &str,
        value: &str,
    ) -> Result<Answer<Connector>, ClientError> {
        let body = Rotation {
            credential: NewCredential::api_key(value),
        };
        self.patch(connector(uid)?).json(&body)?.answer().await
    }

    /// Supplies the token of a connector that the platform owns.
    ///
    /// # Errors
    /// As every call; `FORBIDDEN` unless the key is an operator's.
    pub async fn set_managed_connector(
        &self,
        uid: &str,
        value: &str,
        budget: Option<&Budget>,
    ) -> Result<Answer<Connector>, ClientError> {
        let body = Supply {
            credential: NewCredential::api_key(value),
            budget,
        };
        self.post(managed(uid, "")?).json(&body)?.answer().await
    }

    /// Says how often a connector that the platform owns may be used.
    ///
    /// # Errors
    /// As [`Client::set_managed_connector`]; `MANAGED_CONNECTOR_NOT_CONFIGURED`.
    pub async fn set_connector_budget(
        &self,
        uid: &str,
        budget: &Budget,
    ) -> Result<Answer<Connector>, ClientError> {
        self.put(managed(uid, "/budget")?)
            .json(budget)?
            .answer()
            .await
    }

    /// Takes the token of a connector that the platform owns away, and it off every sandbox.
    ///
    /// # Errors
    /// As [`Client::set_connector_budget`].
    pub async fn revoke_managed_connector(
        &self,
        uid: &str,
    ) -> Result<Answer<Connector>, ClientError> {
        self.delete(managed(uid, "")?).answer().await
    }

    /// Removes a connector and its secret.
    ///
    /// # Errors
    /// As every call.
    pub async fn delete_connector(&self, uid: &str) -> Result<Answer<Value>, ClientError> {
        self.delete(connector(uid)?).answer().await
    }

    /// Reads the secret of a tenant's own connector.
    ///
    /// # Errors
    /// As every call; `MANAGED_PROVIDER_BINDING_ONLY`.
    pub async fn connector_token(
        &self,
        uid: &str,
        query: &TokenQuery,
    ) -> Result<Answer<TokenAnswer>, ClientError> {
        let uid = path_segment("a connector's uid", uid)?;
        self.post(format!("/connect/token/{uid}"))
            .json(query)?
            .answer()
            .await
    }

    /// What is attached to a sandbox.
    ///
    /// # Errors
    /// As every call.
    pub async fn bindings(&self, id: &str) -> Result<Answer<Vec<Binding>>, ClientError> {
        self.get(sandbox(id, "/connectors")?).answer().await
    }

    /// Attaches a connector to a sandbox: a placeholder appears in a variable.
    ///
    /// # Errors
    /// As every call; `ENV_NAME_TAKEN`, `INVALID_ENV_NAME`, `CONNECTOR_NOT_FOUND`.
    pub async fn attach_connector(
        &self,
        id: &str,
        body: &AttachConnector,
    ) -> Result<Answer<Binding>, ClientError> {
        self.post(sandbox(id, "/connectors")?)
            .json(body)?
            .answer()
            .await
    }

    /// Takes a connector off a sandbox, by binding id or uid: its placeholder is dead.
    ///
    /// # Errors
    /// As every call.
    pub async fn detach_connector(
        &self,
        id: &str,
        which: &str,
    ) -> Result<Answer<Value>, ClientError> {
        let which = path_segment("a binding", which)?;
        self.delete(sandbox(id, &format!("/connectors/{which}"))?)
            .answer()
            .await
    }

    /// Brings the placeholders into the sandbox and the policy to the broker again.
    ///
    /// # Errors
    /// As every call.
    pub async fn sync_connectors(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.post(sandbox(id, "/connectors/sync")?)
            .json(&json!({}))?
            .answer()
            .await
    }

    /// Checks that bound connectors work and are confined.
    ///
    /// # Errors
    /// As every call; `PREFLIGHT_FAILED` with each step in `details.steps`.
    pub async fn preflight(
        &self,
        id: &str,
        body: &PreflightRequest,
    ) -> Result<Answer<Preflight>, ClientError> {
        self.post(sandbox(id, "/connectors/preflight")?)
            .json(body)?
            .timeout(Some(PREFLIGHT_TIMEOUT))
            .answer()
            .await
    }
}

#[derive(Serialize)]
struct Rotation<'a> {
    credential: NewCredential<'a>,
}

#[derive(Serialize)]
struct Supply<'a> {
    credential: NewCredential<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<&'a Budget>,
}

fn managed(uid: &str, rest: &str) -> Result<String, ClientError> {
    let uid = path_segment("a connector's uid", uid)?;
    Ok(format!("/admin/connectors/{uid}{rest}"))
}

fn connector(uid: &str) -> Result<String, ClientError> {
    let uid = path_segment("a connector's uid", uid)?;
    Ok(format!("/connect/connectors/{uid}"))
}
