//! One thing an agent said or did, in the words all agents share.

use serde_json::{Value, json};

/// Longest line for people, in characters.
const MESSAGE_CHARS_MAX: usize = 500;
/// Largest JSON kept of one line of an agent, in bytes.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// An event before it has an id and a time.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentEvent {
    /// `agent.text`, `agent.tool_call`, …
    pub kind: &'static str,
    /// One line for people.
    pub message: String,
    /// The agent's own JSON.
    pub metadata: Value,
}

impl AgentEvent {
    /// An event; what is too long is cut.
    #[must_use]
    pub fn new(kind: &'static str, message: &str, metadata: &Value) -> Self {
        let bytes = metadata.to_string().len();
        let metadata = if bytes > METADATA_BYTES_MAX {
            json!({ "cut": true, "bytes": bytes })
        } else {
            metadata.clone()
        };
        Self {
            kind,
            message: one_line(message),
            metadata,
        }
    }
}

fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MESSAGE_CHARS_MAX {
        return line;
    }
    line.chars().take(MESSAGE_CHARS_MAX).chain(['…']).collect()
}

/// A text field of an object; empty when absent.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}
