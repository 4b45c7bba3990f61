//! API keys. The key itself is never here, only its SHA-256.

use miosa_api::identity::ApiKey;
use sqlx::{AnyPool, FromRow};

use crate::clock::rfc3339;

/// A key with its tenant, as authentication needs it.
#[derive(Debug, Clone, FromRow)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// Owner.
    pub tenant_id: String,
    /// Handle of the owner.
    pub tenant_slug: String,
    /// For people.
    pub name: String,
    /// First characters.
    pub key_prefix: String,
    /// Comma list.
    pub scopes: String,
    /// Requests a minute.
    pub rate_limit_rpm: i64,
    /// `active` or `revoked`.
    pub status: String,
    /// Milliseconds.
    pub created_at: i64,
}

impl KeyRow {
    /// As it is listed.
    #[must_use]
    pub fn listed(self) -> ApiKey {
        ApiKey {
            id: self.id,
            name: self.name,
            key_prefix: self.key_prefix,
            scopes: self.scopes.split(',').map(ToOwned::to_owned).collect(),
            rate_limit_rpm: u32::try_from(self.rate_limit_rpm).unwrap_or(u32::MAX),
            status: self.status,
            created_at: rfc3339(self.created_at),
        }
    }
}

/// Adds a key.
pub async fn insert(pool: &AnyPool, key: &KeyRow, key_hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into api_keys (id, tenant_id, name, key_hash, key_prefix, scopes, rate_limit_rpm, status, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&key.id)
    .bind(&key.tenant_id)
    .bind(&key.name)
    .bind(key_hash)
    .bind(&key.key_prefix)
    .bind(&key.scopes)
    .bind(key.rate_limit_rpm)
    .bind(&key.status)
    .bind(key.created_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// The active key of this hash.
pub async fn by_hash(pool: &AnyPool, key_hash: &str) -> Result<Option<KeyRow>, sqlx::Error> {
    sqlx::query_as(
        "select k.id, k.tenant_id, t.slug as tenant_slug, k.name, k.key_prefix, k.scopes, k.rate_limit_rpm, \
         k.status, k.created_at from api_keys k join tenants t on t.id = k.tenant_id \
         where k.key_hash = $1 and k.status = 'active'",
    )
    .bind(key_hash)
    .fetch_optional(pool)
    .await
}

/// A tenant's keys, newest first.
pub async fn list(pool: &AnyPool, tenant_id: &str) -> Result<Vec<KeyRow>, sqlx::Error> {
    sqlx::query_as(
        "select k.id, k.tenant_id, t.slug as tenant_slug, k.name, k.key_prefix, k.scopes, k.rate_limit_rpm, \
         k.status, k.created_at from api_keys k join tenants t on t.id = k.tenant_id \
         where k.tenant_id = $1 order by k.created_at desc, k.id desc",
    )
    .bind(tenant_id)
    .fetch_all(pool)
    .await
}

/// One of a tenant's, revoked ones included.
pub async fn get(pool: &AnyPool, tenant_id: &str, id: &str) -> Result<Option<KeyRow>, sqlx::Error> {
    sqlx::query_as(
        "select k.id, k.tenant_id, t.slug as tenant_slug, k.name, k.key_prefix, k.scopes, k.rate_limit_rpm, \
         k.status, k.created_at from api_keys k join tenants t on t.id = k.tenant_id \
         where k.tenant_id = $1 and k.id = $2",
    )
    .bind(tenant_id)
    .bind(id)
    .fetch_optional(pool)
    .await
}

/// Writes name, scopes and rate of an active key.
pub async fn save(pool: &AnyPool, row: &KeyRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update api_keys set name = $3, scopes = $4, rate_limit_rpm = $5 \
         where tenant_id = $1 and id = $2 and status = 'active'",
    )
    .bind(&row.tenant_id)
    .bind(&row.id)
    .bind(&row.name)
    .bind(&row.scopes)
    .bind(row.rate_limit_rpm)
    .execute(pool)
    .await?;
    Ok(())
}

/// Replaces the value of an active key.
pub async fn replace_value(
    pool: &AnyPool,
    row: &KeyRow,
    key_hash: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update api_keys set key_hash = $3, key_prefix = $4 where tenant_id = $1 and id = $2 and status = 'active'",
    )
    .bind(&row.tenant_id)
    .bind(&row.id)
    .bind(key_hash)
    .bind(&row.key_prefix)
    .execute(pool)
    .await?;
    Ok(())
}

/// Revokes a key; whether there was one.
pub async fn revoke(pool: &AnyPool, tenant_id: &str, id: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update api_keys set status = 'revoked' where tenant_id = $1 and id = $2 and status = 'active'",
    )
    .bind(tenant_id)
    .bind(id)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}
