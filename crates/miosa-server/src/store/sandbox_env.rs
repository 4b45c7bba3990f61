//! Plain variables of sandboxes.

use sqlx::{AnyPool, FromRow};

use crate::clock::now_ms;

/// A variable.
#[derive(Debug, Clone, FromRow)]
pub struct VarRow {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Milliseconds.
    pub updated_at: i64,
}

/// All variables of a sandbox by name.
pub async fn list(pool: &AnyPool, sandbox_id: &str) -> Result<Vec<VarRow>, sqlx::Error> {
    sqlx::query_as(
        "select name, value, updated_at from sandbox_env where sandbox_id = $1 order by name",
    )
    .bind(sandbox_id)
    .fetch_all(pool)
    .await
}

/// Sets a variable.
pub async fn set(
    pool: &AnyPool,
    sandbox_id: &str,
    name: &str,
    value: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into sandbox_env (sandbox_id, name, value, updated_at) values ($1, $2, $3, $4) \
         on conflict (sandbox_id, name) do update set value = excluded.value, updated_at = excluded.updated_at",
    )
    .bind(sandbox_id)
    .bind(name)
    .bind(value)
    .bind(now_ms())
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes a variable; whether there was one.
pub async fn remove(pool: &AnyPool, sandbox_id: &str, name: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("delete from sandbox_env where sandbox_id = $1 and name = $2")
        .bind(sandbox_id)
        .bind(name)
        .execute(pool)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Removes all variables of a sandbox.
pub async fn clear(pool: &AnyPool, sandbox_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from sandbox_env where sandbox_id = $1")
        .bind(sandbox_id)
        .execute(pool)
        .await?;
    Ok(())
}
