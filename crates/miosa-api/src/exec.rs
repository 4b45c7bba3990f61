//! Commands in a sandbox: one-shot, streamed and detached.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Body of `POST /sandboxes/{id}/exec` and `…/exec/stream`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct ExecRequest {
    /// Text for `sh -lc` (bash where it exists); may have many lines.
    pub command: String,
    /// Working directory; the template's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The same under its older name; clients send both, `cwd` wins ([`ExecRequest::directory`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// Variables on top of the sandbox's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Seconds, at most 600.
    #[serde(skip_serializing_if = "Option::is_none", alias = "timeout_seconds")]
    pub timeout: Option<f64>,
    /// Text for standard input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// User name or id inside the sandbox; root when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl ExecRequest {
    /// The working directory asked for, under whichever name.
    #[must_use]
    pub fn directory(&self) -> Option<&str> {
        self.cwd.as_deref().or(self.dir.as_deref())
    }
}

/// Answer of `exec`. A command that fails is still a 200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExecResult {
    /// Standard output (invalid UTF-8 is replaced).
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit status; 128 + signal when killed, 124 when timed out.
    pub exit_code: i32,
    /// Whether the timeout ended it.
    pub timed_out: bool,
    /// Whether output was cut at the limit.
    pub truncated: bool,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

/// Body of `POST /sandboxes/{id}/commands` and `…/processes`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct StartCommand {
    /// Text for the shell.
    pub command: String,
    /// Working directory.
    #[serde(alias = "dir")]
    pub cwd: Option<String>,
    /// Variables on top of the sandbox's.
    pub env: BTreeMap<String, String>,
    /// A name to find it by.
    pub name: Option<String>,
    /// Seconds until it is killed; none when absent.
    #[serde(alias = "timeout_seconds")]
    pub timeout: Option<f64>,
    /// Text for standard input.
    pub stdin: Option<String>,
    /// User inside the sandbox.
    pub user: Option<String>,
    /// Whether the command outlives the request.
    pub detached: Option<bool>,
}

/// A detached command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Command {
    /// Its id within the sandbox.
    pub id: String,
    /// Process id as seen inside.
    pub pid: i32,
    /// Its name, if given.
    pub name: Option<String>,
    /// The text that runs.
    pub command: String,
    /// `running`, `exited` or `killed`.
    pub status: String,
    /// Exit status once ended.
    pub exit_code: Option<i32>,
    /// When it started (RFC 3339).
    pub started_at: String,
}

#[cfg(test)]
mod tests {
    use super::ExecRequest;

    #[test]
    fn both_names_of_the_working_directory_may_come_together() {
        let request: ExecRequest =
            serde_json::from_str(r#"{"command":"ls","cwd":"/a","dir":"/a"}"#).unwrap();
        assert_eq!(request.directory(), Some("/a"));
        let old: ExecRequest = serde_json::from_str(r#"{"command":"ls","dir":"/b"}"#).unwrap();
        assert_eq!(old.directory(), Some("/b"));
    }
}
