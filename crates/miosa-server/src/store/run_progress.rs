//! What a run's output led to: events, pieces, checkpoint and end, stored in one transaction.

use miosa_api::run::{RunEvent, RunStatus};
use sqlx::{Any, AnyPool, FromRow, Transaction};

use crate::agents::{AgentEvent, Checkpoint};
use crate::clock::{now_ms, rfc3339};

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Final status.
    pub status: RunStatus,
    /// Exit status, where there is one.
    pub exit_code: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What reading a piece of output led to.
#[derive(Debug, Default)]
pub struct Progress {
    /// Events, in order.
    pub events: Vec<AgentEvent>,
    /// Pieces of output with their stream.
    pub output: Vec<(&'static str, String)>,
    /// Where to go on.
    pub checkpoint: Checkpoint,
    /// The end, if it came.
    pub ending: Option<Ending>,
}

/// Limits of what is kept of one run.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Events.
    pub events_max: i64,
    /// Pieces of output.
    pub pieces_max: i64,
}

/// Stores progress in one transaction. Nothing happens to a run that has ended.
///
/// INVARIANT: the transaction begins with a write. SQLite lets one that has read wait for no other writer: it
/// fails at once when somebody has written since.
pub async fn save(
    pool: &AnyPool,
    run_id: &str,
    progress: &Progress,
    kept: Kept,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let status: Option<String> =
        sqlx::query_scalar("update runs set status = status where id = $1 returning status")
            .bind(run_id)
            .fetch_optional(&mut *tx)
            .await?;
    let status = status.as_deref().and_then(RunStatus::parse);
    if status.is_none_or(RunStatus::is_final) {
        return tx.rollback().await;
    }
    let now = progress
        .ending
        .as_ref()
        .map_or(RunStatus::Running, |e| e.status);
    add_events(&mut tx, run_id, now, &progress.events, kept.events_max).await?;
    add_output(&mut tx, run_id, &progress.output, kept.pieces_max).await?;
    save_checkpoint(&mut tx, run_id, &progress.checkpoint).await?;
    if let Some(ending) = &progress.ending {
        end(&mut tx, run_id, ending).await?;
    }
    tx.commit().await
}

async fn add_events(
    tx: &mut Transaction<'_, Any>,
    run_id: &str,
    status: RunStatus,
    events: &[AgentEvent],
    events_max: i64,
) -> Result<(), sqlx::Error> {
    let mut last: i64 =
        sqlx::query_scalar("select coalesce(max(id), 0) from run_events where run_id = $1")
            .bind(run_id)
            .fetch_one(&mut **tx)
            .await?;
    for event in events {
        if last >= events_max && !event.kind.starts_with("run.") {
            continue;
        }
        last += 1;
        sqlx::query(
            "insert into run_events (run_id, id, kind, status, message, metadata, created_at) \
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(run_id)
        .bind(last)
        .bind(event.kind)
        .bind(status.as_str())
        .bind(&event.message)
        .bind(event.metadata.to_string())
        .bind(now_ms())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn add_output(
    tx: &mut Transaction<'_, Any>,
    run_id: &str,
    output: &[(&'static str, String)],
    pieces_max: i64,
) -> Result<(), sqlx::Error> {
    let mut last: i64 =
        sqlx::query_scalar("select coalesce(max(seq), 0) from run_output where run_id = $1")
            .bind(run_id)
            .fetch_one(&mut **tx)
            .await?;
    for (stream, piece) in output {
        last += 1;
        if last > pieces_max {
            break;
        }
        sqlx::query("insert into run_output (run_id, seq, stream, piece) values ($1, $2, $3, $4)")
            .bind(run_id)
            .bind(last)
            .bind(*stream)
            .bind(piece)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn save_checkpoint(
    tx: &mut Transaction<'_, Any>,
    run_id: &str,
    checkpoint: &Checkpoint,
) -> Result<(), sqlx::Error> {
    let outcome = &checkpoint.outcome;
    sqlx::query(
        "update runs set checkpoint = $2, output = $3, stderr = $4, session_id = $5 where id = $1",
    )
    .bind(run_id)
    .bind(serde_json::to_string(checkpoint).unwrap_or_default())
    .bind(&outcome.output)
    .bind(&outcome.stderr)
    .bind(&outcome.session_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn end(
    tx: &mut Transaction<'_, Any>,
    run_id: &str,
    ending: &Ending,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update runs set status = $2, exit_code = $3, error = $4, finished_at = $5 where id = $1",
    )
    .bind(run_id)
    .bind(ending.status.as_str())
    .bind(ending.exit_code)
    .bind(&ending.error)
    .bind(now_ms())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct EventRow {
    run_id: String,
    id: i64,
    kind: String,
    status: String,
    message: String,
    metadata: String,
    created_at: i64,
}

/// Events after an id, oldest first.
pub async fn events_after(
    pool: &AnyPool,
    run_id: &str,
    id: i64,
    limit: i64,
) -> Result<Vec<RunEvent>, sqlx::Error> {
    let rows: Vec<EventRow> = sqlx::query_as(
        "select * from run_events where run_id = $1 and id > $2 order by id limit $3",
    )
    .bind(run_id)
    .bind(id)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let event = |row: EventRow| RunEvent {
        id: row.id,
        run_id: row.run_id,
        kind: row.kind,
        status: row.status,
        message: row.message,
        metadata: serde_json::from_str(&row.metadata).unwrap_or_default(),
        created_at: rfc3339(row.created_at),
    };
    Ok(rows.into_iter().map(event).collect())
}

/// Standard output or error as it was kept.
pub async fn output(pool: &AnyPool, run_id: &str, stream: &str) -> Result<String, sqlx::Error> {
    let pieces: Vec<String> = sqlx::query_scalar(
        "select piece from run_output where run_id = $1 and stream = $2 order by seq",
    )
    .bind(run_id)
    .bind(stream)
    .fetch_all(pool)
    .await?;
    Ok(pieces.concat())
}
