//! Services: detached commands with a name, of which the newest of a name counts.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::exec::StartCommand;
use miosa_api::guest::Process;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::command::{self, SIGKILL};
use crate::guest::Guest;
use crate::http::json::{self, Json, Path, Query};
use crate::http::page;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, process_output};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start, list))
        .routes(routes!(get, stop))
        .routes(routes!(restart))
        .routes(routes!(logs))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Tail {
    /// Last lines; 200 when absent.
    tail: Option<usize>,
}

fn shown(process: Process) -> Value {
    let command = command::shown(process);
    json!({
        "name": command.name, "id": command.id, "pid": command.pid, "status": command.status,
        "exit_code": command.exit_code, "command": command.command, "started_at": command.started_at,
    })
}

async fn newest(guest: &Guest, name: &str) -> Result<Process, ApiError> {
    let named = guest
        .processes()
        .await?
        .into_iter()
        .filter(|process| process.name.as_deref() == Some(name));
    named
        .max_by_key(|process| (process.exit.is_none(), process.started_at, process.pid))
        .ok_or_else(|| {
            ApiError::new(
                ErrorCode::NotFound,
                format!("there is no service {name} in this sandbox"),
            )
        })
}

async fn launch(app: &App, row: &SandboxRow, body: StartCommand) -> Result<Process, ApiError> {
    let start = command::detached(app, row, body).await?;
    app.guest(&row.id).start(&start).await
}

/// Starts a service; one of that name that runs is ended first.
#[utoipa::path(post, path = "/sandboxes/{id}/services", tag = "services", params(("id" = String, Path)), request_body = StartCommand,
    responses((status = 201, body = Object), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn start(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<StartCommand>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    let row = access::running(&app, &caller, &id).await?;
    let name = body.name.clone().unwrap_or_default();
    let fine = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if !fine {
        return Err(ApiError::invalid(
            "name",
            "1 to 64 letters, digits, `_`, `.` and `-`",
        ));
    }
    end_running(&app.guest(&id), &name).await?;
    Ok(json::created(shown(launch(&app, &row, body).await?)))
}

async fn end_running(guest: &Guest, name: &str) -> Result<(), ApiError> {
    for process in guest.processes().await? {
        if process.exit.is_none() && process.name.as_deref() == Some(name) {
            guest.signal(&process.id, SIGKILL).await?;
        }
    }
    Ok(())
}

/// Services that run or are remembered.
#[utoipa::path(get, path = "/sandboxes/{id}/services", tag = "services", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 409, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::running(&app, &caller, &id).await?;
    let named = app
        .guest(&id)
        .processes()
        .await?
        .into_iter()
        .filter(|process| process.name.is_some());
    Ok(page::whole(named.map(shown).collect()))
}

/// How a service is.
#[utoipa::path(get, path = "/sandboxes/{id}/services/{name}", tag = "services", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::running(&app, &caller, &id).await?;
    Ok(json::data(shown(newest(&app.guest(&id), &name).await?)))
}

/// Ends a service.
#[utoipa::path(delete, path = "/sandboxes/{id}/services/{name}", tag = "services", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn stop(
    State(app): State<App>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    access::running(&app, &caller, &id).await?;
    let guest = app.guest(&id);
    newest(&guest, &name).await?;
    end_running(&guest, &name).await?;
    Ok(json::no_content())
}

/// Ends it and starts its command again, with the sandbox's variables as they are now.
#[utoipa::path(post, path = "/sandboxes/{id}/services/{name}/restart", tag = "services", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn restart(
    State(app): State<App>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    let row = access::running(&app, &caller, &id).await?;
    let guest = app.guest(&id);
    let old = newest(&guest, &name).await?;
    end_running(&guest, &name).await?;
    let again = StartCommand {
        command: old.command,
        name: Some(name),
        ..StartCommand::default()
    };
    Ok(json::data(shown(launch(&app, &row, again).await?)))
}

/// The last lines of its output.
#[utoipa::path(get, path = "/sandboxes/{id}/services/{name}/logs", tag = "services", params(("id" = String, Path), ("name" = String, Path), Tail),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn logs(
    State(app): State<App>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    Query(query): Query<Tail>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::running(&app, &caller, &id).await?;
    let guest = app.guest(&id);
    let service = newest(&guest, &name).await?;
    let lines = process_output::tail(&guest, &service.id, query.tail).await?;
    Ok(json::data(json!({ "name": name, "lines": lines })))
}
