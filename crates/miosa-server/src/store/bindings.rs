//! Bindings: which connector is attached to which sandbox under which variable.

use sqlx::{AnyPool, FromRow};

/// Known to the broker's policy, not yet to commands.
pub const ATTACHING: &str = "attaching";
/// In force.
pub const LIVE: &str = "live";
/// Known to nobody once the broker has forgotten it.
pub const DETACHING: &str = "detaching";

/// A row.
#[derive(Debug, Clone, FromRow)]
pub struct BindingRow {
    /// Its id.
    pub id: String,
    /// Owner of the sandbox.
    pub tenant_id: String,
    /// The sandbox.
    pub sandbox_id: String,
    /// The connector.
    pub connector_id: String,
    /// Variable that holds the placeholder.
    pub env_name: String,
    /// What stands in the environment.
    pub placeholder: String,
    /// By what it narrows the connector's MCP server, as JSON.
    pub mcp: Option<String>,
    /// [`ATTACHING`], [`LIVE`] or [`DETACHING`].
    pub state: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

/// Adds a row; a taken variable is a unique violation.
pub async fn insert(pool: &AnyPool, row: &BindingRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into bindings (id, tenant_id, sandbox_id, connector_id, env_name, placeholder, state, created_at, mcp) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.sandbox_id)
    .bind(&row.connector_id)
    .bind(&row.env_name)
    .bind(&row.placeholder)
    .bind(&row.state)
    .bind(row.created_at)
    .bind(&row.mcp)
    .execute(pool)
    .await?;
    Ok(())
}

/// All of a sandbox, oldest first.
pub async fn of_sandbox(pool: &AnyPool, sandbox_id: &str) -> Result<Vec<BindingRow>, sqlx::Error> {
    sqlx::query_as("select * from bindings where sandbox_id = $1 order by created_at, id")
        .bind(sandbox_id)
        .fetch_all(pool)
        .await
}

/// One of a tenant.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Option<BindingRow>, sqlx::Error> {
    sqlx::query_as("select * from bindings where tenant_id = $1 and id = $2")
        .bind(tenant_id)
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// All of a tenant, oldest first.
pub async fn of_tenant(pool: &AnyPool, tenant_id: &str) -> Result<Vec<BindingRow>, sqlx::Error> {
    sqlx::query_as("select * from bindings where tenant_id = $1 order by created_at, id")
        .bind(tenant_id)
        .fetch_all(pool)
        .await
}

/// All of a connector.
pub async fn of_connector(
    pool: &AnyPool,
    connector_id: &str,
) -> Result<Vec<BindingRow>, sqlx::Error> {
    sqlx::query_as("select * from bindings where connector_id = $1 order by created_at, id")
        .bind(connector_id)
        .fetch_all(pool)
        .await
}

/// Moves one on.
pub async fn set_state(pool: &AnyPool, id: &str, state: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update bindings set state = $2 where id = $1")
        .bind(id)
        .bind(state)
        .execute(pool)
        .await?;
    Ok(())
}

/// Removes one.
pub async fn delete(pool: &AnyPool, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from bindings where id = $1")
        .bind(id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Removes all of a sandbox.
pub async fn delete_of_sandbox(pool: &AnyPool, sandbox_id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from bindings where sandbox_id = $1")
        .bind(sandbox_id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Removes what an ended server left half attached or half detached.
pub async fn delete_unfinished(pool: &AnyPool) -> Result<(), sqlx::Error> {
    sqlx::query("delete from bindings where state <> $1")
        .bind(LIVE)
        .execute(pool)
        .await?;
    Ok(())
}
