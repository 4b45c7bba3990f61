//! Rules of network policies, and rules that stand alone.

use sqlx::{AnyPool, FromRow};

/// A row.
#[derive(Debug, Clone, FromRow)]
pub struct RuleRow {
    /// Its id, also in the broker's refusals.
    pub id: String,
    /// Owner.
    pub tenant_id: String,
    /// The policy it was added to, if any.
    pub policy_id: Option<String>,
    /// `tenant`, `workspace` or `sandbox`.
    pub resource_type: String,
    /// Which; empty for the tenant.
    pub resource_id: String,
    /// Host, wildcard or address range.
    pub host: String,
    /// `allow` or `deny`.
    pub effect: String,
    /// JSON list, upper case.
    pub methods: String,
    /// Path pattern.
    pub path_glob: Option<String>,
    /// For people.
    pub note: Option<String>,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl RuleRow {
    /// The methods it is about.
    #[must_use]
    pub fn methods(&self) -> Vec<String> {
        serde_json::from_str(&self.methods).unwrap_or_default()
    }
}

/// Which rules; empty words for all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this policy.
    pub policy_id: String,
    /// Of this kind of resource.
    pub resource_type: String,
    /// Of this resource.
    pub resource_id: String,
}

/// Adds a row.
pub async fn insert(pool: &AnyPool, row: &RuleRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into network_rules (id, tenant_id, policy_id, resource_type, resource_id, host, effect, methods, \
         path_glob, note, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.policy_id)
    .bind(&row.resource_type)
    .bind(&row.resource_id)
    .bind(&row.host)
    .bind(&row.effect)
    .bind(&row.methods)
    .bind(&row.path_glob)
    .bind(&row.note)
    .bind(row.created_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// One of a tenant.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Option<RuleRow>, sqlx::Error> {
    sqlx::query_as("select * from network_rules where tenant_id = $1 and id = $2")
        .bind(tenant_id)
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// All of a tenant, oldest first.
pub async fn list(
    pool: &AnyPool,
    tenant_id: &str,
    filter: &Filter,
) -> Result<Vec<RuleRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from network_rules where tenant_id = $1 and ($2 = '' or policy_id = $2) \
         and ($3 = '' or resource_type = $3) and ($4 = '' or resource_id = $4) order by created_at, id",
    )
    .bind(tenant_id)
    .bind(&filter.policy_id)
    .bind(&filter.resource_type)
    .bind(&filter.resource_id)
    .fetch_all(pool)
    .await
}

/// All that a sandbox is ruled by: its own, its workspace's, its tenant's.
pub async fn of_sandbox(
    pool: &AnyPool,
    tenant_id: &str,
    workspace_id: &str,
    sandbox_id: &str,
) -> Result<Vec<RuleRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from network_rules where tenant_id = $1 and (resource_type = 'tenant' \
         or (resource_type = 'workspace' and resource_id = $2) \
         or (resource_type = 'sandbox' and resource_id = $3)) order by created_at, id",
    )
    .bind(tenant_id)
    .bind(workspace_id)
    .bind(sandbox_id)
    .fetch_all(pool)
    .await
}

/// How many a resource has, or its tenant where neither kind nor id is given.
pub async fn count(
    pool: &AnyPool,
    tenant_id: &str,
    resource_type: &str,
    resource_id: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from network_rules where tenant_id = $1 \
         and (($2 = '' and $3 = '') or (resource_type = $2 and resource_id = $3))",
    )
    .bind(tenant_id)
    .bind(resource_type)
    .bind(resource_id)
    .fetch_one(pool)
    .await
}

/// Removes one.
pub async fn delete(pool: &AnyPool, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("delete from network_rules where id = $1")
        .bind(id)
        .execute(pool)
        .await?;
    Ok(())
}
