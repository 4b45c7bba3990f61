//! SQL of the tables `templates` and `template_builds`.

use sqlx::{AnyPool, FromRow};

/// A tenant's template.
#[derive(Debug, Clone, FromRow)]
pub struct TemplateRow {
    /// Owner.
    pub tenant_id: String,
    /// Its id, unique for the tenant.
    pub id: String,
    /// For people.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Build specification (JSON).
    pub spec: String,
    /// When it was made.
    pub created_at: i64,
}

/// An attempt to build an image.
#[derive(Debug, Clone, FromRow)]
pub struct BuildRow {
    /// Its id.
    pub id: String,
    /// Who asked for it.
    pub tenant_id: String,
    /// The template.
    pub template_id: String,
    /// What it makes.
    pub image_id: String,
    /// `building`, `ready` or `failed`.
    pub status: String,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began.
    pub created_at: i64,
    /// When it ended.
    pub finished_at: Option<i64>,
}

/// Templates of a tenant, by id.
pub async fn list(pool: &AnyPool, tenant_id: &str) -> Result<Vec<TemplateRow>, sqlx::Error> {
    sqlx::query_as("select tenant_id, id, name, description, spec, created_at from templates where tenant_id = $1 order by id")
        .bind(tenant_id)
        .fetch_all(pool)
        .await
}

/// Adds a template. A taken id is a unique violation.
pub async fn insert(pool: &AnyPool, row: &TemplateRow) -> Result<(), sqlx::Error> {
    sqlx::query("insert into templates (tenant_id, id, name, description, spec, created_at) values ($1, $2, $3, $4, $5, $6)")
        .bind(&row.tenant_id)
        .bind(&row.id)
        .bind(&row.name)
        .bind(&row.description)
        .bind(&row.spec)
        .bind(row.created_at)
        .execute(pool)
        .await?;
    Ok(())
}

/// Removes a template, unless a sandbox of it is left; whether it was removed.
pub async fn delete(pool: &AnyPool, tenant_id: &str, id: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "delete from templates where tenant_id = $1 and id = $2 and not exists \
         (select 1 from sandboxes where tenant_id = $1 and template_id = $2 and state <> 'destroyed')",
    )
    .bind(tenant_id)
    .bind(id)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Adds a build in status `building`.
pub async fn insert_build(pool: &AnyPool, row: &BuildRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into template_builds (id, tenant_id, template_id, image_id, status, created_at) values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.template_id)
    .bind(&row.image_id)
    .bind(&row.status)
    .bind(row.created_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// Writes how a build ended.
pub async fn finish_build(
    pool: &AnyPool,
    id: &str,
    error: Option<&str>,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update template_builds set status = $2, error = $3, finished_at = $4 where id = $1",
    )
    .bind(id)
    .bind(if error.is_some() { "failed" } else { "ready" })
    .bind(error)
    .bind(at_ms)
    .execute(pool)
    .await?;
    Ok(())
}

/// Marks builds of a server that ended as failed.
pub async fn fail_unfinished_builds(pool: &AnyPool, at_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update template_builds set status = 'failed', error = 'the server ended while it was building', \
         finished_at = $1 where status = 'building'",
    )
    .bind(at_ms)
    .execute(pool)
    .await?;
    Ok(())
}

const BUILD_COLUMNS: &str =
    "id, tenant_id, template_id, image_id, status, error, created_at, finished_at";

/// A build, by any tenant's key: its image may be shared.
pub async fn build(
    pool: &AnyPool,
    tenant_id: &str,
    id: &str,
) -> Result<Option<BuildRow>, sqlx::Error> {
    let query =
        format!("select {BUILD_COLUMNS} from template_builds where id = $1 and tenant_id = $2");
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .bind(tenant_id)
        .fetch_optional(pool)
        .await
}

/// Builds of a template that this tenant asked for, newest first.
pub async fn builds(
    pool: &AnyPool,
    tenant_id: &str,
    template_id: &str,
) -> Result<Vec<BuildRow>, sqlx::Error> {
    let query = format!(
        "select {BUILD_COLUMNS} from template_builds where tenant_id = $1 and template_id = $2 \
         order by created_at desc limit 100"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(tenant_id)
        .bind(template_id)
        .fetch_all(pool)
        .await
}

/// The latest build of an image, whoever asked for it.
pub async fn latest_of_image(
    pool: &AnyPool,
    image_id: &str,
) -> Result<Option<BuildRow>, sqlx::Error> {
    let query = format!(
        "select {BUILD_COLUMNS} from template_builds where image_id = $1 order by created_at desc limit 1"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(image_id)
        .fetch_optional(pool)
        .await
}
