//! Runs: an agent working on an instruction inside a sandbox.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Body of `POST /runs`, and of its older alias `POST /agent-runs` (`prompt`, `provider`).
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct CreateRun {
    /// What the agent is asked to do.
    #[serde(alias = "prompt")]
    pub instruction: String,
    /// `sandbox`.
    pub target_kind: Option<String>,
    /// The sandbox; also as `sandbox_id` or `runtime_id`.
    pub target_id: Option<String>,
    /// The same.
    pub sandbox_id: Option<String>,
    /// The same.
    pub runtime_id: Option<String>,
    /// `claude`, `claude-code`, `codex` or `custom`.
    pub runner: Option<String>,
    /// On `/agent-runs` the runner; on `/runs` the model's vendor, tolerated.
    pub provider: Option<String>,
    /// Program of a `custom` runner; also as `runtime_command`.
    #[serde(alias = "runtime_command")]
    pub command: Option<String>,
    /// Model to ask for.
    pub model: Option<String>,
    /// Working directory; the template's when absent.
    pub cwd: Option<String>,
    /// Variables on top of the sandbox's.
    pub env: BTreeMap<String, String>,
    /// Seconds until the run is stopped.
    pub timeout: Option<f64>,
    /// Wait for the end before answering (default true, up to a bound).
    pub wait: Option<bool>,
    /// Connector the run is about: must be bound.
    pub connector: Option<String>,
    /// Free facts.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Accepted.
    Queued,
    /// The agent works.
    Running,
    /// Exit status 0.
    Succeeded,
    /// Any other exit status, a timeout, or a lost sandbox.
    Failed,
    /// Stopped by a caller.
    Canceled,
}

impl RunStatus {
    /// The word as it travels and is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }

    /// Reads the stored word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Queued,
            Self::Running,
            Self::Succeeded,
            Self::Failed,
            Self::Canceled,
        ]
        .into_iter()
        .find(|status| status.as_str() == word)
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Canceled)
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// `sandbox`.
    pub target_kind: String,
    /// The sandbox.
    pub target_id: String,
    /// The same under the name SDKs filter by.
    pub sandbox_id: String,
    /// `claude-code`, `codex` or `custom`.
    pub runner: String,
    /// The same under the older name.
    pub provider: String,
    /// Where it is.
    pub status: RunStatus,
    /// What was asked.
    pub instruction: String,
    /// Model asked for.
    pub model: Option<String>,
    /// Working directory.
    pub cwd: String,
    /// Connector it is about.
    pub connector: Option<String>,
    /// The agent's last answer in words, where its output format tells.
    pub output: String,
    /// End of its standard error.
    pub stderr: String,
    /// Exit status once ended.
    pub exit_code: Option<i32>,
    /// Why it failed, in a sentence.
    pub error: Option<String>,
    /// The agent's own session id, to continue it.
    pub session_id: Option<String>,
    /// When it was accepted (RFC 3339).
    pub created_at: String,
    /// When the agent started.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Free facts.
    #[schema(value_type = Object)]
    pub metadata: Map<String, Value>,
}

/// One event of a run (`GET /runs/{id}/events`), JSON list or SSE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunEvent {
    /// Counts up within the run, from 1; the SSE `id`.
    pub id: i64,
    /// The run.
    pub run_id: String,
    /// `run.started`, `agent.started`, `agent.text`, `agent.tool_call`, `agent.tool_result`,
    /// `agent.output`, `agent.stderr`, `agent.result`, `run.finished`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Status of the run when it happened.
    pub status: String,
    /// One line for people.
    pub message: String,
    /// Facts for a program (for agent events: the agent's own JSON line).
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// When (RFC 3339).
    pub created_at: String,
}
