//! Answers to requests with an `Idempotency-Key`.

use sqlx::{AnyPool, FromRow};

use crate::clock::now_ms;

/// A remembered request.
#[derive(Debug, Clone, FromRow)]
pub struct Remembered {
    /// Hash of method, path and body.
    pub request_hash: String,
    /// Status of the answer; absent while under way.
    pub status: Option<i64>,
    /// Its content type.
    pub content_type: Option<String>,
    /// Its body.
    pub body: Option<String>,
    /// Milliseconds.
    pub created_at: i64,
}

/// Claims a key; `false` when it is known already.
pub async fn claim(
    pool: &AnyPool,
    tenant_id: &str,
    key: &str,
    request_hash: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "insert into idempotency (tenant_id, idempotency_key, request_hash, created_at) values ($1, $2, $3, $4) \
         on conflict (tenant_id, idempotency_key) do nothing",
    )
    .bind(tenant_id)
    .bind(key)
    .bind(request_hash)
    .bind(now_ms())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// What is known of a key.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    key: &str,
) -> Result<Option<Remembered>, sqlx::Error> {
    sqlx::query_as(
        "select request_hash, status, content_type, body, created_at from idempotency \
         where tenant_id = $1 and idempotency_key = $2",
    )
    .bind(tenant_id)
    .bind(key)
    .fetch_optional(pool)
    .await
}

/// Remembers the answer.
pub async fn answer(
    pool: &AnyPool,
    tenant_id: &str,
    key: &str,
    status: u16,
    content_type: &str,
    body: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("update idempotency set status = $3, content_type = $4, body = $5 where tenant_id = $1 and idempotency_key = $2")
        .bind(tenant_id)
        .bind(key)
        .bind(i64::from(status))
        .bind(content_type)
        .bind(body)
        .execute(pool)
        .await?;
    Ok(())
}

/// Gives a key free: its request failed for a reason that may pass.
pub async fn release(pool: &AnyPool, tenant_id: &str, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from idempotency where tenant_id = $1 and idempotency_key = $2")
        .bind(tenant_id)
        .bind(key)
        .execute(pool)
        .await?;
    Ok(())
}

/// Gives all keys free whose request was cut off with the server. Called once at start.
pub async fn release_unfinished(pool: &AnyPool) -> Result<(), sqlx::Error> {
    sqlx::query("delete from idempotency where status is null")
        .execute(pool)
        .await?;
    Ok(())
}

/// Removes what is older.
pub async fn prune(pool: &AnyPool, before_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("delete from idempotency where created_at < $1")
        .bind(before_ms)
        .execute(pool)
        .await?;
    Ok(())
}
