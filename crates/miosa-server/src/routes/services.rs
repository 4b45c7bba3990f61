//! Services: long-running commands with a name.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use miosa_api::exec::StartCommand;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path, Query};
use crate::http::page;
use crate::{ApiError, App, process_output, services};

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
    Ok(json::created(services::start(&app, &row, body).await?))
}

/// All services, whether they run or not.
#[utoipa::path(get, path = "/sandboxes/{id}/services", tag = "services", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 409, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::running(&app, &caller, &id).await?;
    Ok(page::whole(services::list(&app, &row).await?))
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
    let row = access::running(&app, &caller, &id).await?;
    Ok(json::data(services::get(&app, &row, &name).await?))
}

/// Ends and forgets a service.
#[utoipa::path(delete, path = "/sandboxes/{id}/services/{name}", tag = "services", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn stop(
    State(app): State<App>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    let row = access::running(&app, &caller, &id).await?;
    services::remove(&app, &row, &name).await?;
    Ok(json::no_content())
}

/// Ends it and starts it again as it was started, with the sandbox's variables as they are now.
#[utoipa::path(post, path = "/sandboxes/{id}/services/{name}/restart", tag = "services", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn restart(
    State(app): State<App>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    let row = access::running(&app, &caller, &id).await?;
    Ok(json::data(services::restart(&app, &row, &name).await?))
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
    let row = access::running(&app, &caller, &id).await?;
    let lines = match services::process_id(&app, &row, &name).await? {
        Some(process) => process_output::tail(&app.guest(&id), &process, query.tail).await?,
        None => Vec::new(),
    };
    Ok(json::data(json!({ "name": name, "lines": lines })))
}
