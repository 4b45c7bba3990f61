//! Connectors of a sandbox: attach, list, detach, sync.

use axum::extract::State;
use axum::response::Response;
use miosa_api::connector::{AttachConnector, Binding};
use miosa_api::error::ErrorBody;
use miosa_api::preflight::{Preflight, PreflightRequest};
use miosa_api::{Data, List};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path};
use crate::http::page;
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, bindings, preflight as flight};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, attach))
        .routes(routes!(detach))
        .routes(routes!(sync))
        .routes(routes!(preflight))
}

async fn sandbox(app: &App, caller: &Caller, id: &str) -> Result<SandboxRow, ApiError> {
    sandboxes::get(&app.pool, &caller.tenant_id, id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", id))
}

/// What is attached.
#[utoipa::path(get, path = "/sandboxes/{id}/connectors", tag = "sandbox connectors", params(("id" = String, Path)),
    responses((status = 200, body = List<Binding>), (status = 404, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    let sandbox = sandbox(&app, &caller, &id).await?;
    let bound = bindings::all(&app, &sandbox.id).await?;
    Ok(page::whole(
        bound.iter().map(bindings::Bound::view).collect(),
    ))
}

/// Puts a placeholder into the sandbox's environment. It is in force when this answers.
#[utoipa::path(post, path = "/sandboxes/{id}/connectors", tag = "sandbox connectors", params(("id" = String, Path)),
    request_body = AttachConnector,
    responses((status = 201, body = Data<Binding>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn attach(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<AttachConnector>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let sandbox = sandbox(&app, &caller, &id).await?;
    // Goes on when the caller goes away: an attach is never left half done.
    let work = async move { bindings::attach(&app, &sandbox, &body).await };
    let bound = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::created(bound.view()))
}

/// Takes it out again, by binding id or connector uid. The placeholder is dead when this answers.
#[utoipa::path(delete, path = "/sandboxes/{id}/connectors/{key}", tag = "sandbox connectors",
    params(("id" = String, Path), ("key" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn detach(
    State(app): State<App>,
    caller: Caller,
    Path((id, key)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let sandbox = sandbox(&app, &caller, &id).await?;
    let work = async move { bindings::detach(&app, &sandbox, &key).await };
    tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::no_content())
}

/// Puts everything in force again.
#[utoipa::path(post, path = "/sandboxes/{id}/connectors/sync", tag = "sandbox connectors", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn sync(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let sandbox = sandbox(&app, &caller, &id).await?;
    let env_keys = bindings::sync(&app, &sandbox).await?;
    Ok(json::data(
        json!({ "synced": true, "status": "materialized", "env_keys": env_keys }),
    ))
}

/// Proves from inside the sandbox that an agent can start and that the credential works where it belongs
/// and nowhere else.
#[utoipa::path(post, path = "/sandboxes/{id}/connectors/preflight", tag = "sandbox connectors",
    params(("id" = String, Path)), request_body = PreflightRequest,
    responses((status = 200, body = Data<Preflight>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
async fn preflight(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<PreflightRequest>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    let sandbox = sandbox(&app, &caller, &id).await?;
    Ok(json::data(flight::run(&app, &sandbox, &body).await?))
}
