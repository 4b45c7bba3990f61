//! Runs.

use miosa_api::run::{Run, RunStatus};
use sqlx::{AnyPool, FromRow};

pub use super::run_progress::{Ending, Kept, Progress, events_after, output, save};
use crate::agents::Checkpoint;
use crate::clock::rfc3339;

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
