//! Lines of Claude Code's `--output-format stream-json`.

use serde_json::Value;

use super::event::{AgentEvent, text};
use super::reader::{Outcome, set_output};

pub(super) fn read(line: &Value, outcome: &mut Outcome, events: &mut Vec<AgentEvent>) {
    if let Some(session) = line.get("session_id").and_then(Value::as_str) {
        outcome.session_id = Some(session.to_owned());
    }
    match text(line, "type") {
        "system" if text(line, "subtype") == "init" => {
            let message = format!("session of {}", text(line, "model"));
            events.push(AgentEvent::new("agent.started", &message, line));
        }
        "assistant" => blocks(line).for_each(|block| assistant(block, outcome, events)),
        "user" => blocks(line)
            .filter(|block| text(block, "type") == "tool_result")
            .for_each(|block| {
                events.push(AgentEvent::new(
                    "agent.tool_result",
                    &result_text(block),
                    block,
                ))
            }),
        "result" => finish(line, outcome, events),
        _ => {}
    }
}

fn blocks(line: &Value) -> impl Iterator<Item = &Value> {
    line.pointer("/message/content")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn assistant(block: &Value, outcome: &mut Outcome, events: &mut Vec<AgentEvent>) {
    match text(block, "type") {
        "text" => {
            set_output(outcome, text(block, "text"));
            events.push(AgentEvent::new("agent.text", text(block, "text"), block));
        }
        "tool_use" => events.push(AgentEvent::new(
            "agent.tool_call",
            text(block, "name"),
            block,
        )),
        _ => {}
    }
}

/// A result is a text, or a list of blocks with texts.
fn result_text(block: &Value) -> String {
    match block.get("content") {
        Some(Value::String(content)) => content.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| text(part, "text"))
            .collect::<Vec<_>>()
            .join(" "),
        _ => String::new(),
    }
}

/// `is_error` tells, not `subtype`: a failed connection is `is_error: true` with `subtype: success`.
fn finish(line: &Value, outcome: &mut Outcome, events: &mut Vec<AgentEvent>) {
    let answer = text(line, "result");
    if !answer.is_empty() {
        set_output(outcome, answer);
    }
    if line.get("is_error").and_then(Value::as_bool) == Some(true) {
        let why = if answer.is_empty() {
            text(line, "subtype")
        } else {
            answer
        };
        outcome.failure = Some(format!("the agent reports an error: {why}"));
    }
    events.push(AgentEvent::new("agent.result", answer, line));
}
