//! Lines of `codex exec --json`.

use serde_json::Value;

use super::event::{AgentEvent, text};
use super::reader::{Outcome, set_output};

pub(super) fn read(line: &Value, outcome: &mut Outcome, events: &mut Vec<AgentEvent>) {
    match text(line, "type") {
        "thread.started" => {
            outcome.session_id = Some(text(line, "thread_id").to_owned());
            events.push(AgentEvent::new("agent.started", "thread started", line));
        }
        "item.started" => {
            if let Some(what) = line.get("item").and_then(tool) {
                events.push(AgentEvent::new("agent.tool_call", &what, line));
            }
        }
        "item.completed" => {
            if let Some(item) = line.get("item") {
                completed(item, line, outcome, events);
            }
        }
        "turn.completed" => events.push(AgentEvent::new("agent.result", "turn completed", line)),
        "turn.failed" => fail(line.pointer("/error/message"), line, outcome, events),
        "error" => fail(line.get("message"), line, outcome, events),
        _ => {}
    }
}

/// What a tool's item is called; `None` for one that is no tool.
fn tool(item: &Value) -> Option<String> {
    match text(item, "type") {
        "command_execution" => Some(text(item, "command").to_owned()),
        "mcp_tool_call" => Some(format!("{}.{}", text(item, "server"), text(item, "tool"))),
        "file_change" => Some("file change".to_owned()),
        "web_search" => Some(format!("web search: {}", text(item, "query"))),
        _ => None,
    }
}

fn completed(item: &Value, line: &Value, outcome: &mut Outcome, events: &mut Vec<AgentEvent>) {
    let (kind, message) = match text(item, "type") {
        "agent_message" => {
            set_output(outcome, text(item, "text"));
            ("agent.text", text(item, "text").to_owned())
        }
        "command_execution" => (
            "agent.tool_result",
            text(item, "aggregated_output").to_owned(),
        ),
        // Warnings come as items too; they end nothing.
        "error" => ("agent.output", text(item, "message").to_owned()),
        _ => match tool(item) {
            Some(what) => (
                "agent.tool_result",
                format!("{what}: {}", text(item, "status")),
            ),
            None => return,
        },
    };
    events.push(AgentEvent::new(kind, &message, line));
}

fn fail(
    message: Option<&Value>,
    line: &Value,
    outcome: &mut Outcome,
    events: &mut Vec<AgentEvent>,
) {
    let why = message.and_then(Value::as_str).unwrap_or("no reason given");
    // `error` lines also report retries; only one that no turn's end follows makes a failure.
    if text(line, "type") == "turn.failed" {
        outcome.failure = Some(format!("the agent reports an error: {why}"));
    }
    events.push(AgentEvent::new("agent.output", why, line));
}
