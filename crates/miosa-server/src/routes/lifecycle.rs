//! Pause, resume, stop, extend, readiness.

use std::collections::BTreeMap;
use std::time::Duration;

use async_stream::stream;
use axum::extract::State;
use axum::response::Response;
use miosa_api::Data;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::sandbox::{ExtendSandbox, Readiness, Sandbox, SandboxState};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::admission::check_timeouts;
use crate::auth::{Caller, Scope};
use crate::clock::now_ms;
use crate::http::json::{self, Json, Path, Query};
use crate::http::sse;
use crate::lifecycle::state::Event;
use crate::lifecycle::{Cause, order};
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, view};

/// Between two looks of a readiness stream.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const READINESS_STREAM_MAX_SEC: u64 = 600;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(stop))
        .routes(routes!(extend))
        .routes(routes!(readiness))
        .routes(routes!(readiness_stream))
}

async fn act(app: App, caller: Caller, id: String, event: Event) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    access::sandbox(&app, &caller, &id).await?;
    let row = order(&app, &id, event, Cause::Request).await?;
    Ok(json::data(view::sandbox(&app, row).await?))
}

/// Freezes a sandbox with its processes and memory.
#[utoipa::path(post, path = "/sandboxes/{id}/pause", tag = "sandboxes", params(("id" = String, Path)),
    responses((status = 200, body = Data<Sandbox>), (status = 409, body = ErrorBody)))]
async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    act(app, caller, id, Event::Pause).await
}

/// Lets a paused sandbox go on, or starts a stopped one again.
#[utoipa::path(post, path = "/sandboxes/{id}/resume", tag = "sandboxes", params(("id" = String, Path)),
    responses((status = 200, body = Data<Sandbox>), (status = 409, body = ErrorBody)))]
async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    act(app, caller, id, Event::Resume).await
}

/// Ends all processes and keeps the disk.
#[utoipa::path(post, path = "/sandboxes/{id}/stop", tag = "sandboxes", params(("id" = String, Path)),
    responses((status = 200, body = Data<Sandbox>), (status = 409, body = ErrorBody)))]
async fn stop(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    act(app, caller, id, Event::Stop).await
}

/// Moves the end of the lifetime to so many seconds from now.
#[utoipa::path(post, path = "/sandboxes/{id}/extend", tag = "sandboxes", params(("id" = String, Path)), request_body = ExtendSandbox,
    responses((status = 200, body = Data<Sandbox>), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn extend(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ExtendSandbox>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    check_timeouts(body.timeout_sec, None)?;
    let mut row = access::sandbox(&app, &caller, &id).await?;
    if row.state() != SandboxState::Running {
        return Err(ApiError::new(
            ErrorCode::ResourceState,
            format!(
                "sandbox {id} is {}: only a running one has an end to move",
                row.state
            ),
        ));
    }
    row.expires_at = Some(now_ms() + body.timeout_sec.unwrap_or(row.timeout_sec) * 1000);
    sandboxes::save_settings(&app.pool, &row).await?;
    Ok(json::data(view::sandbox(&app, row).await?))
}

/// Whether commands can be run.
#[utoipa::path(get, path = "/sandboxes/{id}/readiness", tag = "sandboxes", params(("id" = String, Path)),
    responses((status = 200, body = Data<Readiness>), (status = 404, body = ErrorBody)))]
async fn readiness(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::sandbox(&app, &caller, &id).await?;
    Ok(json::data(read(&app, &row).await))
}

async fn read(app: &App, row: &SandboxRow) -> Readiness {
    let running = row.state() == SandboxState::Running;
    let answers = running && app.guest(&row.id).health().await.is_ok();
    let word = |ready: bool| if ready { "ready" } else { "not_ready" }.to_owned();
    let components = [
        "command_agent",
        "process_control",
        "filesystem",
        "internal_probe",
    ]
    .into_iter()
    .map(|name| (name.to_owned(), word(answers)))
    .chain(
        ["resource_contract", "clock", "identity", "durability"]
            .into_iter()
            .map(|name| (name.to_owned(), word(running))),
    )
    .collect::<BTreeMap<_, _>>();
    Readiness {
        ready: answers,
        status: row.state(),
        components,
    }
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct StreamQuery {
    /// Seconds to wait at most.
    timeout: Option<f64>,
}

/// One event, `ready` or `timeout`, as soon as it is known.
#[utoipa::path(get, path = "/sandboxes/{id}/readiness/stream", tag = "sandboxes", params(("id" = String, Path), StreamQuery),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 404, body = ErrorBody)))]
async fn readiness_stream(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<StreamQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::sandbox(&app, &caller, &id).await?;
    let seconds = query
        .timeout
        .unwrap_or(60.0)
        .clamp(0.0, READINESS_STREAM_MAX_SEC as f64);
    let deadline = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
    Ok(sse::respond(stream! {
        loop {
            let Ok(Some(row)) = sandboxes::get_any(&app.pool, &id).await else { return };
            let now = read(&app, &row).await;
            if now.ready {
                yield sse::event("ready", &now);
                return;
            }
            let over = matches!(row.state(), SandboxState::Error | SandboxState::Destroyed);
            if over || tokio::time::Instant::now() >= deadline {
                yield sse::event("timeout", &json!({ "ready": false, "status": row.state }));
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }))
}
