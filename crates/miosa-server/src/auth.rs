//! Who calls: bearer keys, their scopes, their tenant, their rate.
//!
//! A key is 256 random bits, so its SHA-256 alone identifies it: the lookup by hash is the
//! comparison, and nothing of the key is compared byte by byte.

use std::collections::HashMap;
use std::sync::Mutex;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::request::Parts;
use miosa_api::error::ErrorCode;
use miosa_api::limits::RATE_LIMIT_RPM_DEFAULT;
use sha2::{Digest, Sha256};
use sqlx::AnyPool;

use crate::clock::now_ms;
use crate::http::json::header_text;
use crate::store::api_keys::{self, KeyRow};
use crate::store::tenants;
use crate::{ApiError, App};

const KEY_PREFIX: &str = "msk_u_";
const SHOWN_CHARS: usize = 12;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See sandboxes.
    SandboxesRead,
    /// Change, stop and delete sandboxes, write files.
    SandboxesWrite,
    /// Run commands.
    SandboxesExec,
    /// Make sandboxes.
    SandboxesCreate,
    /// See connectors and bindings.
    ConnectorsRead,
    /// Make, attach, reveal connectors.
    ConnectorsWrite,
    /// See runs.
    RunsRead,
    /// Start and cancel runs.
    RunsWrite,
    /// See templates.
    TemplatesRead,
    /// Make and build templates.
    TemplatesWrite,
    /// See network policies and rules.
    NetworkRead,
    /// Change where sandboxes may go.
    NetworkWrite,
    /// See the audit.
    AuditRead,
    /// See, make and revoke keys.
    KeysWrite,
    /// See workspaces.
    WorkspacesRead,
    /// Make, change and delete workspaces.
    WorkspacesWrite,
    /// What only the operator does: managed tokens. Held by `*` alone.
    Operator,
}

impl Scope {
    const HANDED_OUT: [Self; 16] = [
        Self::SandboxesRead,
        Self::SandboxesWrite,
        Self::SandboxesExec,
        Self::SandboxesCreate,
        Self::ConnectorsRead,
        Self::ConnectorsWrite,
        Self::RunsRead,
        Self::RunsWrite,
        Self::TemplatesRead,
        Self::TemplatesWrite,
        Self::NetworkRead,
        Self::NetworkWrite,
        Self::AuditRead,
        Self::KeysWrite,
        Self::WorkspacesRead,
        Self::WorkspacesWrite,
    ];

    /// The scope as it is written in a key.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SandboxesRead => "sandboxes:read",
            Self::SandboxesWrite => "sandboxes:write",
            Self::SandboxesExec => "sandboxes:exec",
            Self::SandboxesCreate => "sandboxes:create",
            Self::ConnectorsRead => "connectors:read",
            Self::ConnectorsWrite => "connectors:write",
            Self::RunsRead => "runs:read",
            Self::RunsWrite => "runs:write",
            Self::TemplatesRead => "templates:read",
            Self::TemplatesWrite => "templates:write",
            Self::NetworkRead => "network:read",
            Self::NetworkWrite => "network:write",
            Self::AuditRead => "audit:read",
            Self::KeysWrite => "api-keys:write",
            Self::WorkspacesRead => "workspaces:read",
            Self::WorkspacesWrite => "workspaces:write",
            Self::Operator => "operator",
        }
    }
}

/// Whether a key can be given this scope.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    text == "*" || Scope::HANDED_OUT.iter().any(|scope| scope.as_str() == text)
}

/// The caller of an authenticated request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Tenant all rows of this request belong to.
    pub tenant_id: String,
    /// Its handle.
    pub tenant_slug: String,
    /// The key.
    pub key_id: String,
    /// First characters of the key.
    pub key_prefix: String,
    scopes: Vec<String>,
}

impl Caller {
    /// Refuses a key without this scope.
    pub fn require(&self, scope: Scope) -> Result<(), ApiError> {
        let held = |s: &String| s == "*" || (s == scope.as_str() && scope != Scope::Operator);
        if self.scopes.iter().any(held) {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::Forbidden,
            format!("this key lacks the scope {}", scope.as_str()),
        ))
    }

    /// What the key may do.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Whether the key holds all of these scopes, so that it may pass them on.
    #[must_use]
    pub fn holds_all(&self, scopes: &[String]) -> bool {
        self.scopes.iter().any(|s| s == "*") || scopes.iter().all(|s| self.scopes.contains(s))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(unauthorized)
    }
}

/// Middleware in front of every route that needs a key.
pub async fn require_key(State(app): State<App>, mut request: Request, next: Next) -> Response {
    match authenticate(&app, request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

async fn authenticate(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let key = header_text(headers, "authorization")
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .ok_or_else(unauthorized)?;
    let row = api_keys::by_hash(&app.pool, &hash(key))
        .await?
        .ok_or_else(unauthorized)?;
    if let Some(named) = header_text(headers, "x-miosa-tenant").filter(|text| !text.is_empty())
        && named != row.tenant_id
        && named != row.tenant_slug
    {
        return Err(ApiError::new(
            ErrorCode::InvalidTenantContext,
            "X-MIOSA-Tenant names a tenant this key is not of",
        ));
    }
    app.limiter.take(&row.id, row.rate_limit_rpm, now_ms())?;
    Ok(Caller {
        tenant_id: row.tenant_id,
        tenant_slug: row.tenant_slug,
        key_id: row.id,
        key_prefix: row.key_prefix,
        scopes: row.scopes.split(',').map(ToOwned::to_owned).collect(),
    })
}

fn unauthorized() -> ApiError {
    ApiError::new(
        ErrorCode::Unauthorized,
        "no API key, or not one of this server's",
    )
    .with_hint("send `Authorization: Bearer msk_…`; `miosa login` stores a key for the CLI")
}

fn hash(key: &str) -> String {
    hex::encode(Sha256::digest(key.as_bytes()))
}

/// A new key that may do everything for a tenant, which is made if it is not there. For `miosa up`.
pub async fn create_key(pool: &AnyPool, tenant: &str, name: &str) -> Result<String, sqlx::Error> {
    let tenant_id = tenants::ensure(pool, tenant).await?;
    let (key, _) = mint(pool, &tenant_id, name, &["*".to_owned()]).await?;
    Ok(key)
}

/// Makes and stores a key; the key itself is in no other place afterwards.
pub async fn mint(
    pool: &AnyPool,
    tenant_id: &str,
    name: &str,
    scopes: &[String],
) -> Result<(String, KeyRow), sqlx::Error> {
    let key = random_key();
    let row = KeyRow {
        id: uuid::Uuid::now_v7().to_string(),
        tenant_id: tenant_id.to_owned(),
        tenant_slug: String::new(),
        name: name.to_owned(),
        key_prefix: key[..SHOWN_CHARS].to_owned(),
        scopes: scopes.join(","),
        rate_limit_rpm: i64::from(RATE_LIMIT_RPM_DEFAULT),
        status: "active".to_owned(),
        created_at: now_ms(),
    };
    api_keys::insert(pool, &row, &hash(&key)).await?;
    Ok((key, row))
}

/// Gives a stored key a new value; the old one is no key from then on.
pub async fn renew(pool: &AnyPool, mut row: KeyRow) -> Result<(String, KeyRow), sqlx::Error> {
    let key = random_key();
    key[..SHOWN_CHARS].clone_into(&mut row.key_prefix);
    api_keys::replace_value(pool, &row, &hash(&key)).await?;
    Ok((key, row))
}

fn random_key() -> String {
    format!("{KEY_PREFIX}{}", hex::encode(rand::random::<[u8; 32]>()))
}

/// Token buckets, one a key: a minute's worth at most, refilled evenly.
#[derive(Debug, Default)]
pub struct RateLimiter {
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// Thousandths of a request.
    left: i64,
    at_ms: i64,
}

impl RateLimiter {
    /// Takes one request of a key, or says when to come back.
    pub fn take(&self, key_id: &str, rpm: i64, now_ms: i64) -> Result<(), ApiError> {
        let full = rpm.max(1) * 1000;
        let mut buckets = self
            .buckets
            .lock()
            .expect("no panic while the lock is held");
        let bucket = buckets.entry(key_id.to_owned()).or_insert(Bucket {
            left: full,
            at_ms: now_ms,
        });
        let gained = (now_ms - bucket.at_ms).clamp(0, 60_000) * full / 60_000;
        bucket.left = (bucket.left + gained).min(full);
        bucket.at_ms = now_ms;
        if bucket.left >= 1000 {
            bucket.left -= 1000;
            return Ok(());
        }
        let wait_ms = (1000 - bucket.left) * 60_000 / full;
        let mut error = ApiError::new(
            ErrorCode::RateLimited,
            format!("this key may send {rpm} requests a minute"),
        );
        error.retry_after = Some(u64::try_from(wait_ms / 1000 + 1).unwrap_or(1));
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::{Caller, RateLimiter, Scope};

    fn caller(scopes: &[&str]) -> Caller {
        Caller {
            tenant_id: "t".to_owned(),
            tenant_slug: "t".to_owned(),
            key_id: "k".to_owned(),
            key_prefix: "msk".to_owned(),
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        }
    }

    #[test]
    fn a_scope_allows_itself_alone_and_the_star_everything() {
        let reader = caller(&["sandboxes:read"]);
        assert!(reader.require(Scope::SandboxesRead).is_ok());
        assert!(reader.require(Scope::SandboxesExec).is_err());
        assert!(caller(&["*"]).require(Scope::Operator).is_ok());
        assert!(
            caller(&["operator"]).require(Scope::Operator).is_err(),
            "the operator's scope cannot be handed out"
        );
    }

    #[test]
    fn the_rate_is_refused_above_the_limit_and_given_back_with_time() {
        let limiter = RateLimiter::default();
        for _ in 0..60 {
            assert!(limiter.take("k", 60, 0).is_ok());
        }
        let refused = limiter
            .take("k", 60, 0)
            .expect_err("the 61st in the same instant");
        assert_eq!(refused.retry_after, Some(2));
        assert!(
            limiter.take("other", 60, 0).is_ok(),
            "another key has its own"
        );
        assert!(
            limiter.take("k", 60, 1000).is_ok(),
            "one second gives one back"
        );
        assert!(limiter.take("k", 60, 1000).is_err());
    }
}
