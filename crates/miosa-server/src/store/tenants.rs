//! Tenants: who owns rows.

use miosa_api::identity::Tenant;
use sqlx::{AnyPool, FromRow};

use crate::clock::now_ms;

#[derive(FromRow)]
struct Row {
    id: String,
    name: String,
    slug: String,
}

/// Makes a tenant of this handle if there is none; its id.
pub async fn ensure(pool: &AnyPool, slug: &str) -> Result<String, sqlx::Error> {
    let id = uuid::Uuid::now_v7().to_string();
    sqlx::query(
        "insert into tenants (id, name, slug, created_at) values ($1, $2, $3, $4) on conflict (slug) do nothing",
    )
    .bind(id)
    .bind(slug)
    .bind(slug)
    .bind(now_ms())
    .execute(pool)
    .await?;
    sqlx::query_scalar("select id from tenants where slug = $1")
        .bind(slug)
        .fetch_one(pool)
        .await
}

/// One tenant.
pub async fn get(pool: &AnyPool, id: &str) -> Result<Option<Tenant>, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as("select id, name, slug from tenants where id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(|row| Tenant {
        id: row.id,
        name: row.name,
        slug: row.slug,
        plan: "self-hosted".to_owned(),
        credit_balance: 0,
    }))
}
