//! Index over the broker's audit file.

use miosa_api::audit::AuditEvent;
use sqlx::{Any, AnyPool, Transaction};

/// How far a file has been read.
pub async fn offset(pool: &AnyPool, file: &str) -> Result<i64, sqlx::Error> {
    let known: Option<i64> =
        sqlx::query_scalar("select read_bytes from audit_offset where file = $1")
            .bind(file)
            .fetch_optional(pool)
            .await?;
    Ok(known.unwrap_or(0))
}

/// Notes how far a file has been read, together with the rows of it.
pub async fn save_offset(
    tx: &mut Transaction<'_, Any>,
    file: &str,
    read_bytes: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit_offset (file, read_bytes) values ($1, $2) \
         on conflict (file) do update set read_bytes = excluded.read_bytes",
    )
    .bind(file)
    .bind(read_bytes)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Adds an event, or brings one to its end: the broker writes a credentialed request twice, before
/// its answer is passed on and when it has ended.
pub async fn insert(
    tx: &mut Transaction<'_, Any>,
    event: &AuditEvent,
    at_ms: i64,
    line: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit (id, tenant_id, resource_id, at_ms, action, effect, code, host, body) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         on conflict (id) do update set at_ms = excluded.at_ms, action = excluded.action, \
         effect = excluded.effect, code = excluded.code, host = excluded.host, body = excluded.body",
    )
    .bind(&event.id)
    .bind(&event.tenant_id)
    .bind(&event.resource_id)
    .bind(at_ms)
    .bind(&event.action)
    .bind(&event.effect)
    .bind(&event.code)
    .bind(&event.host)
    .bind(line)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
