//! Events of sandboxes.

use miosa_api::event::Event;
use sqlx::{AnyPool, FromRow};

use crate::clock::rfc3339;

#[derive(FromRow)]
struct Row {
    id: i64,
    sandbox_id: String,
    kind: String,
    data: String,
    created_at: i64,
}

impl Row {
    fn event(self) -> Event {
        Event {
            id: self.id,
            kind: self.kind,
            sandbox_id: self.sandbox_id,
            created_at: rfc3339(self.created_at),
            data: serde_json::from_str(&self.data).unwrap_or_default(),
        }
    }
}

/// The highest id ever given; 0 for none.
pub async fn last_id(pool: &AnyPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(id), 0) from events")
        .fetch_one(pool)
        .await
}

/// Adds an event.
pub async fn insert(
    pool: &AnyPool,
    tenant_id: &str,
    event: &Event,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("insert into events (id, tenant_id, sandbox_id, kind, data, created_at) values ($1, $2, $3, $4, $5, $6)")
        .bind(event.id)
        .bind(tenant_id)
        .bind(&event.sandbox_id)
        .bind(&event.kind)
        .bind(event.data.to_string())
        .bind(at_ms)
        .execute(pool)
        .await?;
    Ok(())
}

/// Events of one sandbox after an id, oldest first.
pub async fn after(
    pool: &AnyPool,
    sandbox_id: &str,
    id: i64,
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, sandbox_id, kind, data, created_at from events where sandbox_id = $1 and id > $2 order by id limit $3",
    )
    .bind(sandbox_id)
    .bind(id)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Row::event).collect())
}

/// Events of all of a tenant's sandboxes after an id, oldest first.
pub async fn of_tenant_after(
    pool: &AnyPool,
    tenant_id: &str,
    id: i64,
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, sandbox_id, kind, data, created_at from events where tenant_id = $1 and id > $2 order by id limit $3",
    )
    .bind(tenant_id)
    .bind(id)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Row::event).collect())
}

/// Removes what is older.
pub async fn prune(pool: &AnyPool, before_ms: i64) -> Result<(), sqlx::Error> {
    sqlx::query("delete from events where created_at < $1")
        .bind(before_ms)
        .execute(pool)
        .await?;
    Ok(())
}
