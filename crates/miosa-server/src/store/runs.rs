//! Runs, their events and their output.

use miosa_api::run::{Run, RunEvent, RunStatus};
use sqlx::{Any, AnyPool, FromRow, Transaction};

use crate::agents::{AgentEvent, Checkpoint};
use crate::clock::{now_ms, rfc3339};

/// A row.
#[derive(Debug, Clone, Default, FromRow)]
pub struct RunRow {
    /// Its id.
    pub id: String,
    /// Owner.
    pub tenant_id: String,
    /// The sandbox.
    pub sandbox_id: String,
    /// `claude-code`, `codex` or `custom`.
    pub runner: String,
    /// Word of a [`RunStatus`].
    pub status: String,
    /// What was asked.
    pub instruction: String,
    /// Model asked for.
    pub model: Option<String>,
    /// Working directory.
    pub cwd: String,
    /// Connector it is about.
    pub connector: Option<String>,
    /// The guest's process, once started.
    pub process_id: Option<String>,
    /// [`Checkpoint`] as JSON.
    pub checkpoint: String,
    /// The agent's last answer.
    pub output: String,
    /// End of its standard error.
    pub stderr: String,
    /// Exit status once ended.
    pub exit_code: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// The agent's own session.
    pub session_id: Option<String>,
    /// 1: a caller wants it to end.
    pub cancel_requested: i64,
    /// JSON object.
    pub metadata: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
    /// When the agent started.
    pub started_at: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
}

impl RunRow {
    /// Where it is in its life.
    #[must_use]
    pub fn status(&self) -> RunStatus {
        RunStatus::parse(&self.status).unwrap_or(RunStatus::Failed)
    }

    /// How far its output was read.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        serde_json::from_str(&self.checkpoint).unwrap_or_default()
    }

    /// As callers see it.
    #[must_use]
    pub fn view(self) -> Run {
        let status = self.status();
        Run {
            id: self.id,
            target_kind: "sandbox".to_owned(),
            target_id: self.sandbox_id.clone(),
            sandbox_id: self.sandbox_id,
            provider: self.runner.clone(),
            runner: self.runner,
            status,
            instruction: self.instruction,
            model: self.model,
            cwd: self.cwd,
            connector: self.connector,
            output: self.output,
            stderr: self.stderr,
            exit_code: self.exit_code.and_then(|code| i32::try_from(code).ok()),
            error: self.error,
            session_id: self.session_id,
            created_at: rfc3339(self.created_at),
            started_at: self.started_at.map(rfc3339),
            finished_at: self.finished_at.map(rfc3339),
            metadata: serde_json::from_str(&self.metadata).unwrap_or_default(),
        }
    }
}

/// What a list is narrowed by; empty for all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Sandbox.
    pub sandbox_id: String,
    /// Word of a status.
    pub status: String,
    /// Runner.
    pub runner: String,
}

const FILTERED: &str = "from runs where tenant_id = $1 and ($2 = '' or sandbox_id = $2) \
     and ($3 = '' or status = $3) and ($4 = '' or runner = $4)";

/// Adds a row.
pub async fn insert(pool: &AnyPool, row: &RunRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into runs (id, tenant_id, sandbox_id, runner, status, instruction, model, cwd, connector, checkpoint, \
         output, stderr, cancel_requested, metadata, created_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', '', 0, $11, $12)",
    )
    .bind(&row.id)
    .bind(&row.tenant_id)
    .bind(&row.sandbox_id)
    .bind(&row.runner)
    .bind(&row.status)
    .bind(&row.instruction)
    .bind(&row.model)
    .bind(&row.cwd)
    .bind(&row.connector)
    .bind(&row.checkpoint)
    .bind(&row.metadata)
    .bind(row.created_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// A tenant's run.
pub async fn get(pool: &AnyPool, tenant_id: &str, id: &str) -> Result<Option<RunRow>, sqlx::Error> {
    sqlx::query_as("select * from runs where tenant_id = $1 and id = $2")
        .bind(tenant_id)
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// One of whatever tenant, for the server's own work.
pub async fn get_any(pool: &AnyPool, id: &str) -> Result<Option<RunRow>, sqlx::Error> {
    sqlx::query_as("select * from runs where id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await
}

/// A page of a tenant's runs, newest first.
pub async fn list(
    pool: &AnyPool,
    tenant_id: &str,
    filter: &Filter,
    limit: i64,
    offset: i64,
) -> Result<Vec<RunRow>, sqlx::Error> {
    let sql = format!("select * {FILTERED} order by created_at desc, id desc limit $5 offset $6");
    sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(tenant_id)
        .bind(&filter.sandbox_id)
        .bind(&filter.status)
        .bind(&filter.runner)
        .bind(limit)
        .bind(offset)
        .fetch_all(pool)
        .await
}

/// How many there are in all pages.
pub async fn count(pool: &AnyPool, tenant_id: &str, filter: &Filter) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) {FILTERED}")))
        .bind(tenant_id)
        .bind(&filter.sandbox_id)
        .bind(&filter.status)
        .bind(&filter.runner)
        .fetch_one(pool)
        .await
}

/// Everything that has not ended, of all tenants.
pub async fn unfinished(pool: &AnyPool) -> Result<Vec<RunRow>, sqlx::Error> {
    sqlx::query_as("select * from runs where status in ('queued', 'running') order by id")
        .fetch_all(pool)
        .await
}

/// Everything that has not ended in a sandbox.
pub async fn unfinished_of(pool: &AnyPool, sandbox_id: &str) -> Result<Vec<RunRow>, sqlx::Error> {
    sqlx::query_as(
        "select * from runs where sandbox_id = $1 and status in ('queued', 'running') order by id",
    )
    .bind(sandbox_id)
    .fetch_all(pool)
    .await
}

/// Notes that the agent runs.
pub async fn set_started(
    pool: &AnyPool,
    id: &str,
    process_id: &str,
    at_ms: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update runs set status = 'running', process_id = $2, started_at = $3 where id = $1",
    )
    .bind(id)
    .bind(process_id)
    .bind(at_ms)
    .execute(pool)
    .await?;
    Ok(())
}

/// Notes that a caller wants it to end.
pub async fn request_cancel(pool: &AnyPool, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("update runs set cancel_requested = 1 where id = $1")
        .bind(id)
        .execute(pool)
        .await?;
    Ok(())
}

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
pub async fn save(
    pool: &AnyPool,
    run_id: &str,
    progress: &Progress,
    kept: Kept,
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let status: Option<String> = sqlx::query_scalar("select status from runs where id = $1")
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

#[cfg(test)]
mod tests {
    use miosa_api::run::RunStatus;
    use serde_json::json;

    use super::{
        Ending, Filter, Kept, Progress, RunRow, count, events_after, get, get_any, insert, list,
        output, save,
    };
    use crate::agents::{AgentEvent, OutputFormat, Reader};
    use crate::store;

    const KEPT: Kept = Kept {
        events_max: 3,
        pieces_max: 2,
    };

    fn event(kind: &'static str) -> AgentEvent {
        AgentEvent::new(kind, "m", &json!({}))
    }

    #[tokio::test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    async fn progress_is_kept_to_its_limits_and_nothing_follows_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("t.db").display());
        let pool = store::open(&url).await.unwrap();
        let row = RunRow {
            id: "r".into(),
            tenant_id: "t".into(),
            sandbox_id: "s".into(),
            runner: "custom".into(),
            status: "queued".into(),
            metadata: "{}".into(),
            ..RunRow::default()
        };
        insert(&pool, &row).await.unwrap();
        assert!(
            get(&pool, "other", "r").await.unwrap().is_none(),
            "a foreign tenant's run is like none"
        );

        let mut reader = Reader::resume(OutputFormat::Text, &Default::default());
        let events = reader.stdout(b"a\nb\nc\nd\n");
        let pieces = ["a", "b", "c"].map(|p| ("stdout", p.to_owned()));
        let first = Progress {
            events,
            output: pieces.to_vec(),
            checkpoint: reader.checkpoint(8),
            ending: None,
        };
        save(&pool, "r", &first, KEPT).await.unwrap();
        let stored = get_any(&pool, "r").await.unwrap().unwrap();
        assert_eq!(stored.checkpoint(), first.checkpoint);
        assert_eq!(stored.output, "a\nb\nc\nd\n");
        assert_eq!(output(&pool, "r", "stdout").await.unwrap(), "ab");

        let ending = Ending {
            status: RunStatus::Succeeded,
            exit_code: Some(0),
            error: None,
        };
        let last = Progress {
            events: vec![event("agent.text"), event("run.finished")],
            checkpoint: reader.checkpoint(9),
            ending: Some(ending),
            ..Progress::default()
        };
        save(&pool, "r", &last, KEPT).await.unwrap();
        save(&pool, "r", &first, KEPT).await.unwrap();
        let kinds: Vec<_> = events_after(&pool, "r", 1, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|e| (e.id, e.kind))
            .collect();
        let expected = [
            (2, "agent.output"),
            (3, "agent.output"),
            (4, "run.finished"),
        ]
        .map(|(id, k)| (id, k.to_owned()));
        assert_eq!(
            kinds, expected,
            "the end is told beyond the limit, and nothing after it"
        );

        let filter = Filter {
            status: "succeeded".into(),
            ..Filter::default()
        };
        assert_eq!(count(&pool, "t", &filter).await.unwrap(), 1);
        assert_eq!(
            list(&pool, "t", &filter, 10, 0).await.unwrap()[0].exit_code,
            Some(0)
        );
        assert_eq!(
            count(
                &pool,
                "t",
                &Filter {
                    status: "failed".into(),
                    ..filter
                }
            )
            .await
            .unwrap(),
            0
        );
    }
}
