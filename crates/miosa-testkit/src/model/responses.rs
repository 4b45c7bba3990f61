//! OpenAI's Responses API, as Codex speaks it: an MCP tool is a function in a namespace.

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Scripted, Step, accept, event_stream};

pub async fn answer(State(model): State<Scripted>, request: Request) -> Response {
    let body = match accept(&model, request).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let outputs: Vec<String> = body["input"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| {
            item["type"] == "function_call_output" || item["type"] == "custom_tool_call_output"
        })
        .map(|item| output_text(&item["output"]))
        .collect();
    let item = item(
        &model.step(&body["input"], &outputs),
        &body["tools"],
        outputs.len(),
    );
    event_stream(&events(&item))
}

fn output_text(output: &Value) -> String {
    match output {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        other => other.to_string(),
    }
}

/// Name and namespace of the first offered tool whose full name ends like this.
fn find(tools: &Value, name_ends_with: &str) -> Option<(String, Option<String>)> {
    for tool in tools.as_array()? {
        let name = tool["name"].as_str().unwrap_or_default();
        if tool["type"] == "namespace" {
            for inner in tool["tools"].as_array().into_iter().flatten() {
                let inner = inner["name"].as_str().unwrap_or_default();
                if format!("{name}__{inner}").ends_with(name_ends_with) {
                    return Some((inner.to_owned(), Some(name.to_owned())));
                }
            }
        } else if name.ends_with(name_ends_with) {
            return Some((name.to_owned(), None));
        }
    }
    None
}

fn item(step: &Step, tools: &Value, results: usize) -> Value {
    match step {
        Step::Text(words) => message(words),
        Step::Tool {
            name_ends_with,
            input,
        } => match find(tools, name_ends_with) {
            Some((name, namespace)) => {
                let mut call = json!({"type": "function_call", "id": format!("fc_{results}"),
                    "call_id": format!("call_{results}"), "name": name, "arguments": input.to_string(), "status": "completed"});
                if let Some(namespace) = namespace {
                    call["namespace"] = json!(namespace);
                }
                call
            }
            None => message(&format!(
                "there is no tool `…{name_ends_with}` among {}",
                names(tools)
            )),
        },
    }
}

fn names(tools: &Value) -> String {
    let name = |tool: &Value| format!("{}:{}", tool["type"], tool["name"]);
    tools
        .as_array()
        .into_iter()
        .flatten()
        .map(name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn message(words: &str) -> Value {
    json!({"type": "message", "id": "msg_scripted", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": words, "annotations": []}]})
}

fn events(item: &Value) -> Vec<(&'static str, Value)> {
    let usage = json!({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}});
    vec![
        (
            "response.created",
            json!({"type": "response.created", "response": {"id": "resp_scripted", "status": "in_progress"}}),
        ),
        (
            "response.output_item.added",
            json!({"type": "response.output_item.added", "output_index": 0, "item": item}),
        ),
        (
            "response.output_item.done",
            json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        ),
        (
            "response.completed",
            json!({"type": "response.completed",
            "response": {"id": "resp_scripted", "status": "completed", "output": [item], "usage": usage}}),
        ),
    ]
}
