//! Anthropic's Messages API.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Scripted, Step, accept, event_stream};

pub async fn answer(State(model): State<Scripted>, request: Request) -> Response {
    let body = match accept(&model, request).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let tools: Vec<&str> = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    let results = results(&body);
    let block = if tools.is_empty() {
        text("a title")
    } else {
        block(
            &model.step(&body["messages"], &results),
            &tools,
            results.len(),
        )
    };
    if body["stream"].as_bool() == Some(true) {
        event_stream(&events(&body["model"], &block))
    } else {
        let stop = stop_reason(&block);
        axum::Json(json!({"id": "msg_scripted", "type": "message", "role": "assistant", "model": body["model"],
            "content": [block], "stop_reason": stop, "usage": {"input_tokens": 1, "output_tokens": 1}}))
        .into_response()
    }
}

/// The texts of the tool results that the conversation holds.
fn results(body: &Value) -> Vec<String> {
    body["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|message| message["content"].as_array())
        .flatten()
        .filter(|block| block["type"] == "tool_result")
        .map(|block| match &block["content"] {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts
                .iter()
                .filter_map(|part| part["text"].as_str())
                .collect(),
            _ => String::new(),
        })
        .collect()
}

fn block(step: &Step, tools: &[&str], results: usize) -> Value {
    match step {
        Step::Text(words) => text(words),
        Step::Tool {
            name_ends_with,
            input,
        } => match tools
            .iter()
            .find(|name| name.ends_with(name_ends_with.as_str()))
        {
            Some(name) => {
                json!({"type": "tool_use", "id": format!("toolu_{results}"), "name": name, "input": input})
            }
            None => text(&format!(
                "there is no tool `…{name_ends_with}` among {}",
                tools.join(", ")
            )),
        },
    }
}

fn text(words: &str) -> Value {
    json!({"type": "text", "text": words})
}

fn stop_reason(block: &Value) -> &'static str {
    if block["type"] == "tool_use" {
        "tool_use"
    } else {
        "end_turn"
    }
}

fn events(model: &Value, block: &Value) -> Vec<(&'static str, Value)> {
    let (start, delta) = if block["type"] == "tool_use" {
        let mut start = block.clone();
        start["input"] = json!({});
        (
            start,
            json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}),
        )
    } else {
        (
            text(""),
            json!({"type": "text_delta", "text": block["text"]}),
        )
    };
    vec![
        (
            "message_start",
            json!({"type": "message_start", "message": {"id": "msg_scripted", "type": "message",
            "role": "assistant", "model": model, "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 1, "output_tokens": 1}}}),
        ),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": start}),
        ),
        (
            "content_block_delta",
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        ),
        (
            "content_block_stop",
            json!({"type": "content_block_stop", "index": 0}),
        ),
        (
            "message_delta",
            json!({"type": "message_delta",
            "delta": {"stop_reason": stop_reason(block), "stop_sequence": null}, "usage": {"output_tokens": 1}}),
        ),
        ("message_stop", json!({"type": "message_stop"})),
    ]
}
