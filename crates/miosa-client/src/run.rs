//! Runs: an agent working on an instruction.

use std::time::Duration;

use miosa_api::limits::RUN_WAIT_MAX;
use miosa_api::run::{Run, RunEvent};
use serde_json::{Value, json};

use crate::path::path_segment;
use crate::{Answer, Client, ClientError, EventStream};

/// What an answer may take beyond the run itself.
const GRACE: Duration = Duration::from_secs(30);

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    /// Only those in this sandbox.
    pub sandbox_id: Option<String>,
    /// Only those with this status.
    pub status: Option<String>,
    /// How many.
    pub limit: Option<u32>,
}

impl Client {
    /// Starts a run (`POST /runs`). It answers at the run's end, or with the running run after a bound.
    ///
    /// # Errors
    /// As every call; `CONNECTOR_NOT_BOUND`, `AGENT_NOT_INSTALLED`.
    pub async fn create_run(&self, body: &Value) -> Result<Answer<Run>, ClientError> {
        self.start_run("/runs", body).await
    }

    /// The same under the older route (`POST /agent-runs`, fields `prompt` and `provider`).
    ///
    /// # Errors
    /// As [`Client::create_run`].
    pub async fn create_agent_run(&self, body: &Value) -> Result<Answer<Run>, ClientError> {
        self.start_run("/agent-runs", body).await
    }

    async fn start_run(&self, path: &str, body: &Value) -> Result<Answer<Run>, ClientError> {
        self.post(path)
            .json(body)?
            .timeout(Some(RUN_WAIT_MAX + GRACE))
            .answer()
            .await
    }

    /// Runs, newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn runs(&self, query: &RunQuery) -> Result<Answer<Vec<Run>>, ClientError> {
        self.get("/runs")
            .query_opt("sandbox_id", query.sandbox_id.as_deref())
            .query_opt("status", query.status.as_deref())
            .query_opt("limit", query.limit)
            .answer()
            .await
    }

    /// One run.
    ///
    /// # Errors
    /// As every call.
    pub async fn run(&self, id: &str) -> Result<Answer<Run>, ClientError> {
        self.get(run(id, "")?).answer().await
    }

    /// Events of a run so far.
    ///
    /// # Errors
    /// As every call.
    pub async fn run_events(&self, id: &str) -> Result<Answer<Vec<RunEvent>>, ClientError> {
        self.get(run(id, "/events")?).answer().await
    }

    /// Events of a run as they happen; each event's data is a [`RunEvent`]. Ends with the run.
    ///
    /// # Errors
    /// As every call.
    pub async fn follow_run(
        &self,
        id: &str,
        after: Option<i64>,
    ) -> Result<EventStream, ClientError> {
        self.get(run(id, "/events")?)
            .query_opt("after_id", after)
            .events()
            .await
    }

    /// Stops a run.
    ///
    /// # Errors
    /// As every call; `RUN_ENDED`.
    pub async fn cancel_run(&self, id: &str) -> Result<Answer<Run>, ClientError> {
        self.post(run(id, "/cancel")?)
            .json(&json!({}))?
            .answer()
            .await
    }

    /// Files a run left.
    ///
    /// # Errors
    /// As every call.
    pub async fn run_files(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.get(run(id, "/files")?).answer().await
    }

    /// What a run gave back.
    ///
    /// # Errors
    /// As every call.
    pub async fn run_outputs(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.get(run(id, "/outputs")?).answer().await
    }
}

fn run(id: &str, rest: &str) -> Result<String, ClientError> {
    Ok(format!("/runs/{}{rest}", path_segment("a run's id", id)?))
}
