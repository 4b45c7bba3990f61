//! Network policies: mode and default effect of a tenant, a workspace or a sandbox.

use sqlx::{AnyPool, FromRow};

/// A row.
#[derive(Debug, Clone, FromRow)]
pub struct PolicyRow {
    /// Its id.
    pub id: String,
    /// Owner.
    pub tenant_id: String,
    /// `tenant`, `workspace` or `sandbox`.
    pub resource_type: String,
    /// Which; empty for the tenant.
    pub resource_id: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// `audit_only` or `enforce`.
    pub mode: String,
    /// `allow` or `deny`: hosts without a rule, under `enforce`.
    pub default_effect: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When it was last changed.
    pub updated_at: i64,
}

/// Adds a row.
pub async fn insert(pool: &AnyPool, row: &PolicyRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into network_policies (id, tenant_id, resource_type, resource_id, name, description, mode, \
         default_effect, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.resource_type)
    .bind(&row.resource_id)
    .bind(&row.name)
    .bind(&row.description)
    .bind(&row.mode)
    .bind(&row.default_effect)
    .bind(row.created_at)
    .bind(row.updated_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// One of a tenant.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Option<PolicyRow>, sqlx::Error> {
    sqlx::query_as("select * from network_policies where tenant_id = $1 and id = $2")
        .bind(tenant_id)
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// All of a tenant, oldest first; of one kind of resource and of one resource where those are not empty.
pub async fn list(
    pool: &AnyPool,
    tenant_id: &str,
    resource_type: &str,
    resource_id: &str,
) -> Result<Vec<PolicyRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from network_policies where tenant_id = $1 and ($2 = '' or resource_type = $2) \
         and ($3 = '' or resource_id = $3) order by created_at, id",
    )
    .bind(tenant_id)
    .bind(resource_type)
    .bind(resource_id)
    .fetch_all(pool)
    .await
}

/// How many a tenant has.
pub async fn count(pool: &AnyPool, tenant_id: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select count(*) from network_policies where tenant_id = $1")
        .bind(tenant_id)
        .fetch_one(pool)
        .await
}

/// Writes what can be changed.
pub async fn save(pool: &AnyPool, row: &PolicyRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update network_policies set name = $2, description = $3, mode = $4, default_effect = $5, updated_at = $6 \
         where id = $1",
    )
    .bind(&row.id)
    .bind(&row.name)
    .bind(&row.description)
    .bind(&row.mode)
    .bind(&row.default_effect)
    .bind(row.updated_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes one.
pub async fn delete(pool: &AnyPool, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from network_policies where id = $1")
        .bind(id)
        .execute(pool)
        .await?;
    Ok(())
}

/// Removes all of a sandbox, with their rules.
pub async fn delete_of_sandbox(
    pool: &AnyPool,
    tenant_id: &str,
    sandbox_id: &str,
) -> Result<(), sqlx::Error> {
    for sql in [
        "delete from network_rules where tenant_id = $1 and resource_type = 'sandbox' and resource_id = $2",
        "delete from network_policies where tenant_id = $1 and resource_type = 'sandbox' and resource_id = $2",
    ] {
        let query = sqlx::query(sql).bind(tenant_id).bind(sandbox_id);
        query.execute(pool).await?;
    }
    Ok(())
}
