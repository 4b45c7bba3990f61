//! Index over the broker's audit file.

use miosa_api::audit::AuditEvent;
use sqlx::{Any, AnyPool, AssertSqlSafe, Transaction};

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

/// Rows that one statement writes: the cost of a statement is shared by many, and its parameters are
/// far from the 32766 of SQLite.
const ROWS_PER_STATEMENT: usize = 64;
const COLUMNS: usize = 9;

/// An event, and the line it was read from.
pub struct Row<'a> {
    /// What it says.
    pub event: AuditEvent,
    /// When it ended.
    pub at_ms: i64,
    /// The line.
    pub line: &'a str,
}

/// Adds events, or brings those to their end that are known: the broker writes some credentialed
/// requests twice, before their answer is passed on and when they have ended. No two rows may have the
/// same id.
pub async fn insert(tx: &mut Transaction<'_, Any>, rows: &[Row<'_>]) -> Result<(), sqlx::Error> {
    for rows in rows.chunks(ROWS_PER_STATEMENT) {
        let mut query = sqlx::query(AssertSqlSafe(statement(rows.len())));
        for Row { event, at_ms, line } in rows {
            query = query
                .bind(&event.id)
                .bind(&event.tenant_id)
                .bind(&event.resource_id)
                .bind(at_ms)
                .bind(&event.action)
                .bind(&event.effect)
                .bind(&event.code)
                .bind(&event.host)
                .bind(*line);
        }
        query.execute(&mut **tx).await?;
    }
    Ok(())
}

fn statement(rows: usize) -> String {
    let mut text = String::from(
        "insert into audit (id, tenant_id, resource_id, at_ms, action, effect, code, host, body) values ",
    );
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=COLUMNS {
            let comma = if column == 1 { "" } else { ", " };
            text.push_str(&format!("{comma}${}", row * COLUMNS + column));
        }
        text.push(')');
    }
    text.push_str(
        " on conflict (id) do update set at_ms = excluded.at_ms, action = excluded.action, \
         effect = excluded.effect, code = excluded.code, host = excluded.host, body = excluded.body",
    );
    text
}
