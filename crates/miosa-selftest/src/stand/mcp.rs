//! A small MCP server: what it says to each method, as JSON or as an event.

use serde_json::{Value, json};

use super::provider::Asked;

/// Id of every session it begins.
const SESSION: &str = "selftest-session-1";

/// Status, headers and body; `how` is `sse` for an event, `torn` for JSON with a key twice.
pub fn answer(asked: &Asked, how: &str) -> (&'static str, Vec<String>, String) {
    let begins = session(asked);
    let said: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    if said.is_null() && !asked.head.starts_with("POST") {
        return ("200 OK", event_stream(), event(&tools(&json!(0), "")));
    }
    let answers: Vec<Value> = match &said {
        Value::Array(all) => all.iter().filter_map(one).collect(),
        message => one(message).into_iter().collect(),
    };
    if said.is_null() {
        // Longer than what is kept of a body.
        return (
            "200 OK",
            json_type(),
            json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string(),
        );
    }
    if answers.is_empty() {
        return ("202 Accepted", Vec::new(), String::new());
    }
    let text = match (&said, answers.as_slice()) {
        (Value::Array(_), all) => json!(all).to_string(),
        (_, all) => all[0].to_string(),
    };
    let (mut headers, text) = match how {
        "sse" => (event_stream(), event(&text)),
        "torn" => (json_type(), text.replacen('{', "{\"result\":{},", 1)),
        _ => (json_type(), text),
    };
    headers.extend(begins);
    ("200 OK", headers, text)
}

fn session(asked: &Asked) -> Option<String> {
    let body = String::from_utf8_lossy(&asked.body);
    let begins = body.contains("\"initialize\"");
    begins.then(|| format!("mcp-session-id: {SESSION}"))
}

fn event_stream() -> Vec<String> {
    vec!["content-type: text/event-stream".to_owned()]
}

fn json_type() -> Vec<String> {
    vec!["content-type: application/json".to_owned()]
}

fn event(text: &str) -> String {
    format!("event: message\ndata: {text}\n\n")
}

fn one(message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let method = message["method"].as_str()?;
    if method == "tools/list" {
        let cursor = message.pointer("/params/cursor").and_then(Value::as_str);
        return serde_json::from_str(&tools(id, cursor.unwrap_or_default())).ok();
    }
    let result = match method {
        "initialize" => json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "selftest", "version": "1"}}),
        "resources/list" => {
            json!({"resources": [{"uri": "docs://a", "name": "a"}, {"uri": "hidden://b", "name": "b"}]})
        }
        "prompts/list" => json!({"prompts": [{"name": "hidden"}]}),
        _ => json!({"content": [{"type": "text", "text": format!("did {method}")}]}),
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

/// Two pages.
fn tools(id: &Value, cursor: &str) -> String {
    let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
    let result = if cursor.is_empty() {
        json!({"tools": [tool("search"), tool("hidden_one")], "nextCursor": "2"})
    } else {
        json!({"tools": [tool("issue_get"), tool("hidden_two")]})
    };
    json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string()
}
