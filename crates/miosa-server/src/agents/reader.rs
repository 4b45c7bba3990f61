//! Turns an agent's output, piece by piece, into events and a final answer.
//!
//! INVARIANT: a [`Checkpoint`] holds everything a [`Reader`] knows. Stored together with the events it
//! led to, it lets another process go on at the same byte.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event::AgentEvent;
use super::{claude_lines, codex_lines};

/// Longest line that is held until its end comes, in bytes.
const LINE_BYTES_MAX: usize = 1024 * 1024;
/// Longest final answer, and end of standard error, that is kept, in bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What an agent's standard output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Claude Code's `stream-json`.
    ClaudeStream,
    /// Codex's `--json`.
    CodexJson,
    /// Text for people.
    Text,
}

/// What is known of the end so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The last answer in words.
    pub output: String,
    /// End of standard error.
    pub stderr: String,
    /// The agent's own session.
    pub session_id: Option<String>,
    /// The agent says that it failed, and why; whatever its exit status.
    pub failure: Option<String>,
}

/// Everything needed to go on reading.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Bytes of the guest's framed output that were read.
    pub offset: u64,
    /// Beginning of a line whose end has not come.
    pending: String,
    /// See [`Outcome`].
    pub outcome: Outcome,
}

/// Reads an agent's output.
#[derive(Debug)]
pub struct Reader {
    format: OutputFormat,
    pending: Vec<u8>,
    /// What is known of the end so far.
    pub outcome: Outcome,
}

impl Reader {
    /// Goes on where a checkpoint was taken (the default one for the beginning).
    #[must_use]
    pub fn resume(format: OutputFormat, checkpoint: &Checkpoint) -> Self {
        use base64::Engine;
        let pending = base64::engine::general_purpose::STANDARD
            .decode(&checkpoint.pending)
            .unwrap_or_default();
        Self {
            format,
            pending,
            outcome: checkpoint.outcome.clone(),
        }
    }

    /// What another process needs to go on after `offset`.
    #[must_use]
    pub fn checkpoint(&self, offset: u64) -> Checkpoint {
        use base64::Engine;
        Checkpoint {
            offset,
            pending: base64::engine::general_purpose::STANDARD.encode(&self.pending),
            outcome: self.outcome.clone(),
        }
    }

    /// Bytes of standard output.
    pub fn stdout(&mut self, bytes: &[u8]) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            self.pending.extend_from_slice(part);
            if part.ends_with(b"\n") || self.pending.len() > LINE_BYTES_MAX {
                self.take_line(&mut events);
            }
        }
        events
    }

    /// Bytes of standard error.
    pub fn stderr(&mut self, bytes: &[u8]) -> Vec<AgentEvent> {
        let text = String::from_utf8_lossy(bytes);
        keep_end(&mut self.outcome.stderr, &text);
        text.lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| AgentEvent::new("agent.stderr", line, &json!({ "text": line })))
            .collect()
    }

    /// Takes a last line without an end.
    pub fn finish(&mut self) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        if !self.pending.is_empty() {
            self.take_line(&mut events);
        }
        events
    }

    fn take_line(&mut self, events: &mut Vec<AgentEvent>) {
        let bytes = std::mem::take(&mut self.pending);
        let line = String::from_utf8_lossy(&bytes);
        let line = line.trim_end_matches(['\n', '\r']);
        if line.trim().is_empty() && self.format != OutputFormat::Text {
            return;
        }
        let parsed = match self.format {
            OutputFormat::Text => None,
            _ => serde_json::from_str::<Value>(line)
                .ok()
                .filter(Value::is_object),
        };
        match (self.format, parsed) {
            (OutputFormat::ClaudeStream, Some(value)) => {
                claude_lines::read(&value, &mut self.outcome, events);
            }
            (OutputFormat::CodexJson, Some(value)) => {
                codex_lines::read(&value, &mut self.outcome, events);
            }
            (format, _) => {
                if format == OutputFormat::Text {
                    keep_end(&mut self.outcome.output, &format!("{line}\n"));
                }
                events.push(AgentEvent::new(
                    "agent.output",
                    line,
                    &json!({ "text": line }),
                ));
            }
        }
    }
}

/// Appends and keeps the last [`KEPT_BYTES_MAX`] bytes.
pub(super) fn keep_end(kept: &mut String, more: &str) {
    kept.push_str(more);
    if kept.len() > KEPT_BYTES_MAX {
        let mut start = kept.len() - KEPT_BYTES_MAX;
        while !kept.is_char_boundary(start) {
            start += 1;
        }
        kept.drain(..start);
    }
}

/// Replaces the answer, cut to what is kept.
pub(super) fn set_output(outcome: &mut Outcome, text: &str) {
    outcome.output.clear();
    keep_end(&mut outcome.output, text);
}
