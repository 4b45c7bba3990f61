//! Previews: a sandbox's port under a host name.

use serde::{Deserialize, Serialize};

/// Body of `POST …/expose`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Expose {
    /// Port inside; the template's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `public` or `private`; private when absent, except on a server that only listens on loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<String>,
}

/// An exposed port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Preview {
    /// Its id.
    pub id: String,
    /// The sandbox.
    pub sandbox_id: String,
    /// Port inside.
    pub port: u16,
    /// Title.
    pub name: Option<String>,
    /// `public` or `private`.
    pub visibility: String,
    /// `active`.
    pub state: String,
    /// Address to open.
    pub url: String,
    /// The same under another name clients read.
    pub preview_url: String,
    /// `temporary_preview`.
    pub url_class: String,
    /// False.
    pub stable_for_embedding: bool,
    /// `create_alias_or_publish`.
    pub recommended_next_action: String,
    /// When it was exposed (RFC 3339).
    pub created_at: String,
}
