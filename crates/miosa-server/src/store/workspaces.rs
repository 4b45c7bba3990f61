//! Workspaces of tenants.

use miosa_api::workspace::Workspace;
use sqlx::{AnyPool, FromRow};

use crate::clock::rfc3339;

/// A workspace as it is stored.
#[derive(Debug, Clone, FromRow)]
pub struct WorkspaceRow {
    /// Its id.
    pub id: String,
    /// Owner.
    pub tenant_id: String,
    /// For people.
    pub name: String,
    /// Handle.
    pub slug: String,
    /// For people.
    pub description: Option<String>,
    /// JSON object.
    pub metadata: String,
    /// The caller's own id of it.
    pub external_workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// Milliseconds.
    pub created_at: i64,
    /// Milliseconds.
    pub updated_at: i64,
}

impl WorkspaceRow {
    /// As callers see it.
    #[must_use]
    pub fn view(self) -> Workspace {
        Workspace {
            id: self.id,
            tenant_id: self.tenant_id,
            name: self.name,
            slug: self.slug,
            description: self.description,
            metadata: serde_json::from_str(&self.metadata).unwrap_or_default(),
            external_workspace_id: self.external_workspace_id,
            external_user_id: self.external_user_id,
            created_at: rfc3339(self.created_at),
            updated_at: rfc3339(self.updated_at),
        }
    }
}

/// Adds a workspace.
pub async fn insert(pool: &AnyPool, row: &WorkspaceRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into workspaces (id, tenant_id, name, slug, description, metadata, external_workspace_id, \
         external_user_id, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.name)
    .bind(&row.slug)
    .bind(&row.description)
    .bind(&row.metadata)
    .bind(&row.external_workspace_id)
    .bind(&row.external_user_id)
    .bind(row.created_at)
    .bind(row.updated_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// One of a tenant's.
pub async fn get(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Option<WorkspaceRow>, sqlx::Error> {
    sqlx::query_as("select * from workspaces where tenant_id = $1 and id = $2")
        .bind(tenant_id)
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// The one with the caller's own id.
pub async fn by_external_id(
    pool: &AnyPool,
    tenant_id: &str,
    external_id: &str,
) -> Result<Option<WorkspaceRow>, sqlx::Error> {
    sqlx::query_as("select * from workspaces where tenant_id = $1 and external_workspace_id = $2")
        .bind(tenant_id)
        .bind(external_id)
        .fetch_optional(pool)
        .await
}

/// The oldest of this name.
pub async fn by_name(
    pool: &AnyPool,
    tenant_id: &str,
    name: &str,
) -> Result<Option<WorkspaceRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from workspaces where tenant_id = $1 and name = $2 order by created_at, id limit 1",
    )
    .bind(tenant_id)
    .bind(name)
    .fetch_optional(pool)
    .await
}

/// A tenant's, newest first.
pub async fn list(pool: &AnyPool, tenant_id: &str) -> Result<Vec<WorkspaceRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from workspaces where tenant_id = $1 order by created_at desc, id desc",
    )
    .bind(tenant_id)
    .fetch_all(pool)
    .await
}

/// Writes name, description and facts.
pub async fn save(pool: &AnyPool, row: &WorkspaceRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update workspaces set name = $3, description = $4, metadata = $5, updated_at = $6 \
         where tenant_id = $1 and id = $2",
    )
    .bind(&row.tenant_id)
    .bind(&row.id)
    .bind(&row.name)
    .bind(&row.description)
    .bind(&row.metadata)
    .bind(row.updated_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// Removes a workspace no live sandbox is in; whether it is gone.
pub async fn delete_empty(pool: &AnyPool, tenant_id: &str, id: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "delete from workspaces where tenant_id = $1 and id = $2 and not exists \
         (select 1 from sandboxes where tenant_id = $1 and workspace_id = $2 and state <> 'destroyed')",
    )
    .bind(tenant_id)
    .bind(id)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}
