//! SQL of the tables `previews` and `preview_tokens`.

use sqlx::{AnyPool, FromRow};

/// An exposed port.
#[derive(Debug, Clone, FromRow)]
pub struct PreviewRow {
    /// Its id.
    pub id: String,
    /// Owner of the sandbox.
    pub tenant_id: String,
    /// The sandbox.
    pub sandbox_id: String,
    /// Port inside.
    pub port: i64,
    /// Title.
    pub name: Option<String>,
    /// `public` or `private`.
    pub visibility: String,
    /// When it was exposed.
    pub created_at: i64,
}

/// A token that opens private previews; the token itself is nowhere.
#[derive(Debug, Clone, FromRow)]
pub struct TokenRow {
    /// SHA-256 of the token, hex.
    pub hash: String,
    /// Sandbox it is for.
    pub sandbox_id: String,
    /// The one preview it is for.
    pub preview_id: String,
    /// Its first characters, to tell tokens apart.
    pub prefix: String,
    /// When it was made.
    pub created_at: i64,
    /// When it ends.
    pub expires_at: i64,
}

/// Exposes a port, or changes title and visibility of one that is exposed. The row as it is then.
pub async fn put(pool: &AnyPool, row: &PreviewRow) -> Result<PreviewRow, sqlx::Error> {
    sqlx::query_as(
        "insert into previews (id, tenant_id, sandbox_id, port, name, visibility, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (sandbox_id, port) do update set \
         name = coalesce(excluded.name, previews.name), visibility = excluded.visibility returning *",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.sandbox_id)
    .bind(row.port)
    .bind(&row.name)
    .bind(&row.visibility)
    .bind(row.created_at)
    .fetch_one(pool)
    .await
}

/// Exposed ports of a tenant's sandbox, in the order they were exposed.
pub async fn list(
    pool: &AnyPool,
    tenant_id: &str,
    sandbox_id: &str,
) -> Result<Vec<PreviewRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from previews where tenant_id = $1 and sandbox_id = $2 order by created_at, port",
    )
    .bind(tenant_id)
    .bind(sandbox_id)
    .fetch_all(pool)
    .await
}

/// One of a tenant's.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    sandbox_id: &str,
    id: &str,
) -> Result<Option<PreviewRow>, sqlx::Error> {
    sqlx::query_as("select * from previews where tenant_id = $1 and sandbox_id = $2 and id = $3")
        .bind(tenant_id)
        .bind(sandbox_id)
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// The preview a visitor wants: of this port, or the first one.
pub async fn find(
    pool: &AnyPool,
    sandbox_id: &str,
    port: Option<u16>,
) -> Result<Option<PreviewRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from previews where sandbox_id = $1 and ($2 = 0 or port = $2) order by created_at, port limit 1",
    )
    .bind(sandbox_id)
    .bind(port.map_or(0, i64::from))
    .fetch_optional(pool)
    .await
}

/// Closes a port again; whether there was one. Its tokens go with it.
pub async fn delete(
    pool: &AnyPool,
    tenant_id: &str,
    sandbox_id: &str,
    id: &str,
) -> Result<bool, sqlx::Error> {
    let done =
        sqlx::query("delete from previews where tenant_id = $1 and sandbox_id = $2 and id = $3")
            .bind(tenant_id)
            .bind(sandbox_id)
            .bind(id)
            .execute(pool)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Stores a token, and forgets those that ended.
pub async fn insert_token(pool: &AnyPool, row: &TokenRow) -> Result<(), sqlx::Error> {
    sqlx::query("delete from preview_tokens where expires_at < $1")
        .bind(row.created_at)
        .execute(pool)
        .await?;
    sqlx::query(
        "insert into preview_tokens (hash, sandbox_id, preview_id, prefix, created_at, expires_at) \
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&row.hash)
    .bind(&row.sandbox_id)
    .bind(&row.preview_id)
    .bind(&row.prefix)
    .bind(row.created_at)
    .bind(row.expires_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// When the token with this hash ends, if it opens this preview now.
pub async fn token_end(
    pool: &AnyPool,
    hash: &str,
    preview: &PreviewRow,
    now_ms: i64,
) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "select expires_at from preview_tokens where hash = $1 and sandbox_id = $2 \
         and preview_id = $3 and expires_at > $4",
    )
    .bind(hash)
    .bind(&preview.sandbox_id)
    .bind(&preview.id)
    .bind(now_ms)
    .fetch_optional(pool)
    .await
}

/// Tokens of a sandbox that begin so and have not ended, newest first.
pub async fn tokens(
    pool: &AnyPool,
    sandbox_id: &str,
    prefix: &str,
    now_ms: i64,
) -> Result<Vec<TokenRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from preview_tokens where sandbox_id = $1 and preview_id is not null \
         and prefix like $2 and expires_at > $3 order by created_at desc, hash",
    )
    .bind(sandbox_id)
    .bind(format!("{prefix}%"))
    .bind(now_ms)
    .fetch_all(pool)
    .await
}

/// Ends one token.
pub async fn revoke_token(pool: &AnyPool, sandbox_id: &str, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from preview_tokens where sandbox_id = $1 and hash = $2")
        .bind(sandbox_id)
        .bind(hash)
        .execute(pool)
        .await?;
    Ok(())
}

/// Ends all tokens of one preview.
pub async fn revoke_tokens(pool: &AnyPool, preview_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from preview_tokens where preview_id = $1")
        .bind(preview_id)
        .execute(pool)
        .await?;
    Ok(())
}
