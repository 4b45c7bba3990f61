//! Connectors and their bindings to sandboxes, as callers see them. No type here has room for a value,
//! except the two that carry one on purpose: [`Credential`] on its way in, [`TokenAnswer`] on its way out.

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, BudgetUse};
use crate::mcp::McpPolicy;

/// Body of `POST /connect/connectors`.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
pub struct CreateConnector {
    /// Provider of a shipped definition: `anthropic`, `openai`, `github`, …
    #[serde(default)]
    pub provider: String,
    /// `api_key` (or `api-key`).
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Second half of the uid when `uid` is absent.
    pub name: Option<String>,
    /// `<provider>/<name>`.
    pub uid: Option<String>,
    /// `tenant` (default), `workspace` or `user`.
    pub scope: Option<String>,
    /// Workspace, for that scope.
    pub workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// White-label attribution.
    pub external_workspace_id: Option<String>,
    /// The secret.
    pub credential: Option<Credential>,
}

/// A secret on its way in. Deliberately neither `Debug` nor `Serialize`.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
pub struct Credential {
    /// `api_key`.
    pub field: Option<String>,
    /// The value.
    pub value: String,
}

/// A connector as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Connector {
    /// Its id.
    pub id: String,
    /// `<provider>/<name>`.
    pub uid: String,
    /// Provider of its definition.
    pub provider: String,
    /// `api_key` or `managed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub display_name: String,
    /// `connected`, or `not_configured` for a managed one without the operator's token.
    pub status: String,
    /// `tenant`, `workspace`, `user` or `platform`.
    pub scope: String,
    /// Whether the platform owns it: it can be bound, never read.
    pub managed: bool,
    /// The variable its definition proposes.
    pub default_env_name: String,
    /// Where its credential may go.
    pub endpoints: Vec<String>,
    /// How often it may be used, where the operator says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// How often the caller's tenant used it, where it has a budget and one connector is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_used: Option<BudgetUse>,
    /// Version of the secret, from 1; rotation adds one.
    pub version: i64,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When the secret was last replaced.
    pub updated_at: String,
}

/// A definition as it is listed: what connectors can be made of, or attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogEntry {
    /// Provider, the first half of a connector's uid.
    pub provider: String,
    /// Whole uid of a managed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// `api_key` for one that tenants make, `managed` for one that the operator supplies.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub display_name: String,
    /// The variable it proposes.
    pub default_env_name: String,
    /// Hosts its credential may go to.
    pub hosts: Vec<String>,
    /// Where its credential may go.
    pub endpoints: Vec<String>,
    /// Name of the MCP server that agents are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<String>,
    /// Whether a preflight can show that the credential works.
    pub probe: bool,
    /// Where to read about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
}

/// Body of `PATCH /connect/connectors/{uid}`: replaces the secret; placeholders stay.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
pub struct RotateConnector {
    /// The new secret.
    pub credential: Credential,
}

/// Body of `POST /admin/connectors/{uid}`. Deliberately neither `Debug` nor `Serialize`.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
pub struct SupplyConnector {
    /// The operator's secret.
    pub credential: Credential,
    /// How often it may be used; what was set before stays when absent.
    #[serde(default)]
    pub budget: Option<Budget>,
}

/// Body of `POST /connect/token/{uid}`. All fields are optional and tolerated.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct TokenRequest {
    /// For whom.
    #[schema(value_type = Object)]
    pub subject: serde_json::Value,
}

/// Answer of `POST /connect/token/{uid}`; tenant connectors only. Deliberately not `Debug`.
#[derive(Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TokenAnswer {
    /// The secret.
    pub token: String,
    /// The connector it is of.
    pub connector: Connector,
}

/// Body of `POST /sandboxes/{id}/connectors`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct AttachConnector {
    /// Uid or id of the connector.
    pub connector: String,
    /// Variable that will hold the placeholder; the definition's when absent.
    #[serde(
        skip_serializing_if = "Option::is_none",
        alias = "expose_as_env",
        alias = "env"
    )]
    pub env_name: Option<String>,
    /// `brokered_env` (default) or `plain_env`, with `_` or `-`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installation_id: Option<String>,
    /// Narrows what may be asked of the connector's MCP server; never widens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcp: Option<McpPolicy>,
}

/// A connector attached to a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Binding {
    /// Its id.
    pub id: String,
    /// Uid of the connector.
    pub connector: String,
    /// Provider of the connector.
    pub provider: String,
    /// Variable that holds the placeholder.
    pub env_name: String,
    /// The same under the egress API's name.
    pub expose_as_env: String,
    /// `brokered_env`.
    pub mode: String,
    /// First characters of the placeholder.
    pub placeholder_preview: String,
    /// The sandbox.
    pub resource_id: String,
    /// `sandbox`.
    pub resource_type: String,
    /// Where the credential may go.
    pub endpoints: Vec<String>,
    /// By what this attachment narrows the connector's MCP server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<McpPolicy>,
    /// When it was attached (RFC 3339).
    pub created_at: String,
}
