//! Who calls.

use serde::{Deserialize, Serialize};

/// Answer of `GET /platform/tenants/current`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// Handle.
    pub slug: String,
    /// `self-hosted`.
    pub plan: String,
    /// Zero: nothing is billed here.
    pub credit_balance: i64,
}

/// An API key as it is listed. The key itself is shown once, when made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// First 12 characters.
    pub key_prefix: String,
    /// What it may do; `*` is all.
    pub scopes: Vec<String>,
    /// Requests a minute.
    pub rate_limit_rpm: u32,
    /// `active` or `revoked`.
    pub status: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
}
