//! One command and its end: as one answer, or streamed line by line.

use async_stream::stream;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::Stream;
use miosa_api::Data;
use miosa_api::error::ErrorBody;
use miosa_api::exec::{ExecRequest, ExecResult};
use miosa_api::guest::Exit;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::guest::{Attached, Chunk};
use crate::http::json::{self, Json, Path};
use crate::http::lines::Lines;
use crate::http::sse;
use crate::{ApiError, App, command, events};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(exec))
        .routes(routes!(exec_stream))
}

/// Runs a command to its end. One that fails is still a 200.
#[utoipa::path(post, path = "/sandboxes/{id}/exec", tag = "exec", params(("id" = String, Path)), request_body = ExecRequest,
    responses((status = 200, body = Data<ExecResult>), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody),
    (status = 503, body = ErrorBody)))]
async fn exec(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ExecRequest>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    Ok(json::data(to_its_end(&app, &caller, &id, body).await?))
}

/// Runs a command and waits; the caller's scope was checked.
pub(super) async fn to_its_end(
    app: &App,
    caller: &Caller,
    id: &str,
    body: ExecRequest,
) -> Result<ExecResult, ApiError> {
    let row = access::running(app, caller, id).await?;
    let start = command::attached(app, &row, body).await?;
    let _in_use = app.activity.hold(id);
    events::emit(
        app,
        &caller.tenant_id,
        id,
        "sandbox.exec.started",
        json!({}),
    )
    .await;
    let since = std::time::Instant::now();
    let done = app.guest(id).exec(&start).await?;
    completed(app, caller, id, done.exit).await;
    Ok(ExecResult {
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        exit_code: done.exit.code,
        timed_out: done.exit.timed_out,
        truncated: done.truncated,
        duration_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Runs a command; `stdout` and `stderr` events with a `line` each, then `exit`.
#[utoipa::path(post, path = "/sandboxes/{id}/exec/stream", tag = "exec", params(("id" = String, Path)), request_body = ExecRequest,
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 409, body = ErrorBody)))]
async fn exec_stream(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ExecRequest>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    let row = access::running(&app, &caller, &id).await?;
    let start = command::attached(&app, &row, body).await?;
    let attached = app.guest(&id).attach(&start).await?;
    events::emit(
        &app,
        &caller.tenant_id,
        &id,
        "sandbox.exec.started",
        json!({}),
    )
    .await;
    Ok(sse::respond(lines(app, caller, id, attached)))
}

fn lines(
    app: App,
    caller: Caller,
    id: String,
    mut attached: Attached,
) -> impl Stream<Item = Event> + Send {
    stream! {
        let _in_use = app.activity.hold(&id);
        let (mut out, mut err) = (Lines::default(), Lines::default());
        loop {
            match attached.next().await {
                Ok(Chunk::Stdout(bytes)) => for line in out.push(&bytes) {
                    yield sse::event("stdout", &json!({ "line": line }));
                },
                Ok(Chunk::Stderr(bytes)) => for line in err.push(&bytes) {
                    yield sse::event("stderr", &json!({ "line": line }));
                },
                Ok(Chunk::End(exit)) => {
                    if let Some(line) = out.rest() { yield sse::event("stdout", &json!({ "line": line })); }
                    if let Some(line) = err.rest() { yield sse::event("stderr", &json!({ "line": line })); }
                    completed(&app, &caller, &id, exit).await;
                    yield sse::event("exit", &json!({ "exit_code": exit.code, "timed_out": exit.timed_out }));
                    return;
                }
                Err(error) => {
                    yield sse::event("error", &json!({ "code": error.code.as_str(), "message": error.message }));
                    return;
                }
            }
        }
    }
}

async fn completed(app: &App, caller: &Caller, id: &str, exit: Exit) {
    let facts = json!({ "exit_code": exit.code, "timed_out": exit.timed_out });
    events::emit(app, &caller.tenant_id, id, "sandbox.exec.completed", facts).await;
}
