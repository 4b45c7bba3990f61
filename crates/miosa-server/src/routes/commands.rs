//! Detached commands, under their two names: `commands` (by id) and `processes` (by process id).

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::exec::{Command, ExecRequest, ExecResult, StartCommand};
use miosa_api::{Data, List};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{access, exec};
use crate::auth::{Caller, Scope};
use crate::command::{self, SIGKILL};
use crate::guest::Guest;
use crate::http::json::{self, Json, Path, Query};
use crate::http::{page, sse};
use crate::{ApiError, App, process_output};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start, list))
        .routes(routes!(get))
        .routes(routes!(logs))
        .routes(routes!(kill))
        .routes(routes!(start_process, list_processes))
        .routes(routes!(get_process, kill_process))
        .routes(routes!(process_logs))
        .routes(routes!(process_stream))
}

/// How much of an output.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Tail {
    /// Last lines; 200 when absent.
    tail: Option<usize>,
}

async fn guest(app: &App, caller: &Caller, id: &str, scope: Scope) -> Result<Guest, ApiError> {
    caller.require(scope)?;
    access::running(app, caller, id).await?;
    Ok(app.guest(id))
}

/// By its own id, or by its process id.
async fn find(guest: &Guest, wanted: &str) -> Result<Command, ApiError> {
    let all = guest.processes().await?;
    all.into_iter()
        .find(|process| process.id == wanted || process.pid.to_string() == wanted)
        .map(command::shown)
        .ok_or_else(|| {
            ApiError::new(
                ErrorCode::NotFound,
                format!("there is no command {wanted} in this sandbox"),
            )
        })
}

async fn begin(
    app: App,
    caller: Caller,
    id: String,
    body: StartCommand,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    let row = access::running(&app, &caller, &id).await?;
    let start = command::detached(&app, &row, body).await?;
    let process = app.guest(&id).start(&start).await?;
    Ok(json::created(command::shown(process)))
}

async fn all(app: App, caller: Caller, id: String) -> Result<Response, ApiError> {
    let processes = guest(&app, &caller, &id, Scope::SandboxesRead)
        .await?
        .processes()
        .await?;
    Ok(page::whole(
        processes.into_iter().map(command::shown).collect(),
    ))
}

async fn one(app: App, caller: Caller, id: String, wanted: String) -> Result<Response, ApiError> {
    let guest = guest(&app, &caller, &id, Scope::SandboxesRead).await?;
    Ok(json::data(find(&guest, &wanted).await?))
}

async fn last_lines(
    app: App,
    caller: Caller,
    id: String,
    wanted: String,
    tail: Option<usize>,
) -> Result<Response, ApiError> {
    let guest = guest(&app, &caller, &id, Scope::SandboxesRead).await?;
    let command = find(&guest, &wanted).await?;
    let lines = process_output::tail(&guest, &command.id, tail).await?;
    Ok(json::data(
        json!({ "id": command.id, "status": command.status, "lines": lines, "logs": lines.join("\n") }),
    ))
}

async fn end(app: &App, caller: &Caller, id: &str, wanted: &str) -> Result<Command, ApiError> {
    let guest = guest(app, caller, id, Scope::SandboxesExec).await?;
    let command = find(&guest, wanted).await?;
    if command.status == "running" {
        guest.signal(&command.id, SIGKILL).await?;
    }
    Ok(command)
}

/// Starts a command that outlives the request; with `detached: false` it runs to its end first, and the
/// answer holds its output. The Python SDK, which leaves the field out, means the latter.
#[utoipa::path(post, path = "/sandboxes/{id}/commands", tag = "commands", params(("id" = String, Path)), request_body = StartCommand,
    responses((status = 200, body = Data<ExecResult>), (status = 201, body = Data<Command>), (status = 409, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
async fn start(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<StartCommand>,
) -> Result<Response, ApiError> {
    if body.detached.unwrap_or_else(|| !is_python_sdk(&headers)) {
        return begin(app, caller, id, body).await;
    }
    caller.require(Scope::SandboxesExec)?;
    let request = ExecRequest {
        command: body.command.clone(),
        cwd: body.cwd,
        env: body.env,
        timeout: body.timeout,
        stdin: body.stdin,
        user: body.user,
        ..ExecRequest::default()
    };
    let done = exec::to_its_end(&app, &caller, &id, request).await?;
    let mut shown = serde_json::to_value(done).map_err(ApiError::internal)?;
    shown["status"] = "exited".into();
    shown["name"] = body.name.into();
    shown["command"] = body.command.into();
    Ok(json::data(shown))
}

/// Its `commands.run` waits, where the CLI of the hosted service sends the same body and means a
/// detached command.
fn is_python_sdk(headers: &HeaderMap) -> bool {
    ["x-miosa-client-id", "user-agent"].iter().any(|name| {
        json::header_text(headers, name).is_some_and(|value| value.starts_with("miosa-python/"))
    })
}

/// Commands that run or are remembered.
#[utoipa::path(get, path = "/sandboxes/{id}/commands", tag = "commands", params(("id" = String, Path)),
    responses((status = 200, body = List<Command>), (status = 409, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    all(app, caller, id).await
}

/// One command.
#[utoipa::path(get, path = "/sandboxes/{id}/commands/{command}", tag = "commands", params(("id" = String, Path), ("command" = String, Path)),
    responses((status = 200, body = Data<Command>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((id, wanted)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    one(app, caller, id, wanted).await
}

/// The end of its output.
#[utoipa::path(get, path = "/sandboxes/{id}/commands/{command}/logs", tag = "commands",
    params(("id" = String, Path), ("command" = String, Path), Tail),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn logs(
    State(app): State<App>,
    caller: Caller,
    Path((id, wanted)): Path<(String, String)>,
    Query(query): Query<Tail>,
) -> Result<Response, ApiError> {
    last_lines(app, caller, id, wanted, query.tail).await
}

/// Kills its process group.
#[utoipa::path(post, path = "/sandboxes/{id}/commands/{command}/kill", tag = "commands", params(("id" = String, Path), ("command" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn kill(
    State(app): State<App>,
    caller: Caller,
    Path((id, wanted)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let command = end(&app, &caller, &id, &wanted).await?;
    Ok(json::data(json!({ "id": command.id, "status": "killed" })))
}

/// As `commands`.
#[utoipa::path(post, path = "/sandboxes/{id}/processes", tag = "commands", params(("id" = String, Path)), request_body = StartCommand,
    responses((status = 201, body = Data<Command>), (status = 409, body = ErrorBody)))]
async fn start_process(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<StartCommand>,
) -> Result<Response, ApiError> {
    begin(app, caller, id, body).await
}

/// As `commands`.
#[utoipa::path(get, path = "/sandboxes/{id}/processes", tag = "commands", params(("id" = String, Path)),
    responses((status = 200, body = List<Command>), (status = 409, body = ErrorBody)))]
async fn list_processes(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    all(app, caller, id).await
}

/// One, by process id.
#[utoipa::path(get, path = "/sandboxes/{id}/processes/{pid}", tag = "commands", params(("id" = String, Path), ("pid" = String, Path)),
    responses((status = 200, body = Data<Command>), (status = 404, body = ErrorBody)))]
async fn get_process(
    State(app): State<App>,
    caller: Caller,
    Path((id, pid)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    one(app, caller, id, pid).await
}

/// Kills it.
#[utoipa::path(delete, path = "/sandboxes/{id}/processes/{pid}", tag = "commands", params(("id" = String, Path), ("pid" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn kill_process(
    State(app): State<App>,
    caller: Caller,
    Path((id, pid)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    end(&app, &caller, &id, &pid).await?;
    Ok(json::no_content())
}

/// The end of its output.
#[utoipa::path(get, path = "/sandboxes/{id}/processes/{pid}/logs", tag = "commands",
    params(("id" = String, Path), ("pid" = String, Path), Tail), responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn process_logs(
    State(app): State<App>,
    caller: Caller,
    Path((id, pid)): Path<(String, String)>,
    Query(query): Query<Tail>,
) -> Result<Response, ApiError> {
    last_lines(app, caller, id, pid, query.tail).await
}

/// Its output as it comes.
#[utoipa::path(get, path = "/sandboxes/{id}/processes/{pid}/stream", tag = "commands", params(("id" = String, Path), ("pid" = String, Path)),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 404, body = ErrorBody)))]
async fn process_stream(
    State(app): State<App>,
    caller: Caller,
    Path((id, pid)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let guest = guest(&app, &caller, &id, Scope::SandboxesRead).await?;
    let command = find(&guest, &pid).await?;
    Ok(sse::respond(
        process_output::follow(app, id, command.id).await?,
    ))
}
