//! The sandbox's log: output of its application, or else of its newest detached command.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::guest::Process;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::guest::Guest;
use crate::http::json::{self, Path, Query};
use crate::http::sse;
use crate::lifecycle::APPLICATION;
use crate::{ApiError, App, process_output};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(logs))
        .routes(routes!(logs_stream))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct LineCount {
    /// Last lines; 200 when absent.
    lines: Option<usize>,
}

async fn source(guest: &Guest) -> Result<Option<Process>, ApiError> {
    let all = guest.processes().await?;
    let application = |process: &Process| process.name.as_deref() == Some(APPLICATION);
    Ok(all
        .into_iter()
        .max_by_key(|process| (application(process), process.started_at, process.pid)))
}

/// The last lines.
#[utoipa::path(get, path = "/sandboxes/{id}/logs", tag = "logs", params(("id" = String, Path), LineCount),
    responses((status = 200, body = Object), (status = 409, body = ErrorBody)))]
async fn logs(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<LineCount>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::running(&app, &caller, &id).await?;
    let guest = app.guest(&id);
    let Some(process) = source(&guest).await? else {
        return Ok(json::data(
            json!({ "lines": [], "logs": "", "source": null }),
        ));
    };
    let lines = process_output::tail(&guest, &process.id, query.lines).await?;
    Ok(json::data(
        json!({ "logs": lines.join("\n"), "lines": lines, "source": process.name.unwrap_or(process.id) }),
    ))
}

/// Lines as they come.
#[utoipa::path(get, path = "/sandboxes/{id}/logs/stream", tag = "logs", params(("id" = String, Path)),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 404, body = ErrorBody)))]
async fn logs_stream(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::running(&app, &caller, &id).await?;
    let process = source(&app.guest(&id)).await?.ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, "nothing in this sandbox writes a log")
    })?;
    Ok(sse::respond(
        process_output::follow(app, id, process.id).await?,
    ))
}
