//! A scripted model: speaks Anthropic's Messages API and OpenAI's Responses API with SSE, and answers
//! with tool calls from a script. The step is chosen by counting tool results, so that retries and
//! resumed sessions are deterministic.

mod messages;
mod responses;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::authority::Authority;
use crate::provider::Log;
use crate::tls::{self, Server};

/// One answer of the model.
#[derive(Debug, Clone)]
pub enum Step {
    /// A call of the first offered tool whose name ends like this, with this input. In the input
    /// `{{result}}` stands for the last tool result, and `{{first.id}}` for the field `id` of the first,
    /// read as JSON.
    Tool {
        /// End of the tool's name, e.g. `__echo` or `Write`.
        name_ends_with: String,
        /// Its input.
        input: Value,
    },
    /// Words; the end of the script.
    Text(String),
}

impl Step {
    /// A tool call.
    #[must_use]
    pub fn tool(name_ends_with: &str, input: Value) -> Self {
        Self::Tool {
            name_ends_with: name_ends_with.to_owned(),
            input,
        }
    }
}

/// What the model does in a conversation in which these words occur.
#[derive(Debug, Clone)]
pub struct Script {
    /// Words of the instruction that choose this script.
    pub when: String,
    /// The answers, one for each number of tool results.
    pub steps: Vec<Step>,
}

impl Script {
    /// A script for conversations with these words.
    #[must_use]
    pub fn new(when: &str, steps: Vec<Step>) -> Self {
        Self {
            when: when.to_owned(),
            steps,
        }
    }
}

/// A running model.
pub struct Model {
    /// Requests it saw.
    pub log: Log,
    /// Its server.
    pub server: Server,
}

/// A running model without TLS; it ends when this value goes.
pub struct PlainModel {
    /// Requests it saw.
    pub log: Log,
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for PlainModel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Scripted {
    key: String,
    scripts: Vec<Script>,
    log: Log,
}

impl Scripted {
    /// The step of the conversation after these tool results, with what refers to them filled in.
    fn step(&self, conversation: &Value, results: &[String]) -> Step {
        let text = conversation.to_string();
        let steps = self
            .scripts
            .iter()
            .find(|script| text.contains(&script.when))
            .map(|script| &script.steps);
        match steps.and_then(|steps| steps.get(results.len()).or_else(|| steps.last())) {
            Some(Step::Tool {
                name_ends_with,
                input,
            }) => Step::Tool {
                name_ends_with: name_ends_with.clone(),
                input: fill(input, results),
            },
            Some(text) => text.clone(),
            None => Step::Text("done".to_owned()),
        }
    }

    fn knows(&self, request: &Request) -> bool {
        let bearer = format!("Bearer {}", self.key);
        let text = |name| {
            request
                .headers()
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        text(header::AUTHORIZATION.as_str()) == Some(bearer.as_str())
            || text("x-api-key") == Some(self.key.as_str())
    }
}

fn fill(input: &Value, results: &[String]) -> Value {
    match input {
        Value::String(text) => Value::String(filled(text, results)),
        Value::Array(items) => items.iter().map(|item| fill(item, results)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), fill(value, results)))
            .collect(),
        other => other.clone(),
    }
}

fn filled(text: &str, results: &[String]) -> String {
    let field = text
        .strip_prefix("{{first.")
        .and_then(|rest| rest.strip_suffix("}}"));
    let Some(field) = field else {
        return text.replace("{{result}}", results.last().map_or("", String::as_str));
    };
    let first: Value = results
        .first()
        .and_then(|first| serde_json::from_str(first).ok())
        .unwrap_or_default();
    first[field].as_str().unwrap_or_default().to_owned()
}

/// Starts a model on loopback in the clear, for agents of this machine that are told its address.
pub async fn start_plain(key: &str, scripts: Vec<Script>) -> Result<PlainModel> {
    let log = Log::default();
    let router = router(key, scripts, &log);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        axum::serve(listener, router).await.ok();
    });
    Ok(PlainModel { log, address, task })
}

/// Starts a model under these host names that accepts only `key`.
pub async fn start(
    authority: &Authority,
    hosts: &[&str],
    key: &str,
    scripts: Vec<Script>,
) -> Result<Model> {
    let log = Log::default();
    let router = router(key, scripts, &log);
    let server = tls::serve(router, authority.server(hosts, true)?).await?;
    Ok(Model { log, server })
}

fn router(key: &str, scripts: Vec<Script>, log: &Log) -> Router {
    let state = Scripted {
        key: key.to_owned(),
        scripts,
        log: log.clone(),
    };
    Router::new()
        .route("/", get(|| async { "a scripted model" }))
        .route("/v1/models", get(models))
        .route("/v1/models/echo", get(echo))
        .route("/v1/messages", post(messages::answer))
        .route(
            "/v1/messages/count_tokens",
            post(|| async { axum::Json(json!({"input_tokens": 1})) }),
        )
        .route("/v1/responses", post(responses::answer))
        .with_state(state)
}

async fn models(State(model): State<Scripted>, request: Request) -> Response {
    model.log.push(&request);
    if !model.knows(&request) {
        return refuse();
    }
    axum::Json(json!({"data": [{"id": "scripted", "type": "model", "object": "model"}], "has_more": false})).into_response()
}

/// Sends the credential back in a header and in the body, as careless providers do.
async fn echo(State(model): State<Scripted>, request: Request) -> Response {
    model.log.push(&request);
    let given = request
        .headers()
        .get("x-api-key")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    (
        [("x-debug-key", given.to_owned())],
        format!("your key is {given}"),
    )
        .into_response()
}

fn refuse() -> Response {
    let body = json!({"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}});
    (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response()
}

/// Checks the key and reads the JSON body.
async fn accept(model: &Scripted, request: Request) -> Result<Value, Response> {
    model.log.push(&request);
    if !model.knows(&request) {
        return Err(refuse());
    }
    let bad = |_| StatusCode::BAD_REQUEST.into_response();
    let body = axum::body::to_bytes(request.into_body(), 32 * 1024 * 1024)
        .await
        .map_err(bad)?;
    serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST.into_response())
}

fn event_stream(events: &[(&str, Value)]) -> Response {
    let body: String = events
        .iter()
        .map(|(name, data)| format!("event: {name}\ndata: {data}\n\n"))
        .collect();
    (
        [
            (header::CONTENT_TYPE, "text/event-stream"),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        body,
    )
        .into_response()
}
