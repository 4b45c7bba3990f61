//! Snapshots of one sandbox: take, list, read, go back to, delete; and forks.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use miosa_api::sandbox::Sandbox;
use miosa_api::snapshot::{CreateSnapshot, ForkSandbox, Snapshot};
use miosa_api::{Data, List};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path};
use crate::http::page;
use crate::lifecycle;
use crate::snapshots::{self as kept, view};
use crate::store::sandboxes::SandboxRow;
use crate::store::snapshots::{self, Filter, SnapshotRow};
use crate::{ApiError, App, view as shown};

/// Snapshots a sandbox's list shows: all that a tenant may have.
const LISTED_MAX: i64 = miosa_api::limits::SNAPSHOTS_PER_TENANT_MAX;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(create_plain))
        .routes(routes!(get, delete))
        .routes(routes!(restore))
        .routes(routes!(fork))
}

/// The snapshot of this sandbox; another one's is like none.
async fn of(
    app: &App,
    caller: &Caller,
    sandbox: &SandboxRow,
    id: &str,
) -> Result<SnapshotRow, ApiError> {
    let row = kept::find(app, &caller.tenant_id, id).await?;
    if row.sandbox_id != sandbox.id {
        return Err(ApiError::not_found("snapshot", id));
    }
    Ok(row)
}

async fn take(
    app: App,
    caller: Caller,
    id: String,
    body: CreateSnapshot,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    // Goes on when the caller goes away: nothing is left half made.
    let work = async move { kept::keep(&app, &sandbox, body).await };
    let row = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::created(view(&row)?))
}

/// Keeps the files of a sandbox as they are now, and what a sandbox made from it is given beside them. A
/// running sandbox is held still for it and goes on.
#[utoipa::path(post, path = "/sandboxes/{id}/snapshots", tag = "snapshots", params(("id" = String, Path)),
    request_body = CreateSnapshot,
    responses((status = 201, body = Data<Snapshot>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<CreateSnapshot>,
) -> Result<Response, ApiError> {
    take(app, caller, id, body).await
}

/// The same under another name.
#[utoipa::path(post, path = "/sandboxes/{id}/snapshot", tag = "snapshots", params(("id" = String, Path)),
    request_body = CreateSnapshot,
    responses((status = 201, body = Data<Snapshot>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn create_plain(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<CreateSnapshot>,
) -> Result<Response, ApiError> {
    take(app, caller, id, body).await
}

/// Snapshots of a sandbox, newest first; a destroyed one's stay until they are deleted.
#[utoipa::path(get, path = "/sandboxes/{id}/snapshots", tag = "snapshots", params(("id" = String, Path)),
    responses((status = 200, body = List<Snapshot>), (status = 404, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let filter = Filter {
        sandbox_id: sandbox.id,
        ..Filter::default()
    };
    let rows = snapshots::list(&app.pool, &caller.tenant_id, &filter, LISTED_MAX, 0).await?;
    let shown: Result<Vec<Snapshot>, ApiError> = rows.iter().map(view).collect();
    Ok(page::whole(shown?))
}

/// One snapshot.
#[utoipa::path(get, path = "/sandboxes/{id}/snapshots/{snapshot_id}", tag = "snapshots",
    params(("id" = String, Path), ("snapshot_id" = String, Path)),
    responses((status = 200, body = Data<Snapshot>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((id, snapshot_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    Ok(json::data(view(
        &of(&app, &caller, &sandbox, &snapshot_id).await?,
    )?))
}

/// Deletes a snapshot. Sandboxes made from it go on: its disk goes with the last of them.
#[utoipa::path(delete, path = "/sandboxes/{id}/snapshots/{snapshot_id}", tag = "snapshots",
    params(("id" = String, Path), ("snapshot_id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((id, snapshot_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let row = of(&app, &caller, &sandbox, &snapshot_id).await?;
    kept::delete(&app, &row).await?;
    Ok(json::no_content())
}

/// Gives a sandbox the files of one of its snapshots and starts it anew. What was written since is gone;
/// variables, ports, connectors and rules stay as they are.
#[utoipa::path(post, path = "/sandboxes/{id}/restore/{snapshot_id}", tag = "snapshots",
    params(("id" = String, Path), ("snapshot_id" = String, Path)),
    responses((status = 200, body = Data<Sandbox>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn restore(
    State(app): State<App>,
    caller: Caller,
    Path((id, snapshot_id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let snapshot = of(&app, &caller, &sandbox, &snapshot_id).await?;
    let row = lifecycle::restore(&app, &sandbox.id, &snapshot.id).await?;
    Ok(json::data(shown::sandbox(&app, row).await?))
}

/// Makes a new sandbox of what this one is now, or was in one of its snapshots: its files, and placeholders,
/// certificate authority and identity of its own.
#[utoipa::path(post, path = "/sandboxes/{id}/fork", tag = "snapshots", params(("id" = String, Path)),
    request_body = ForkSandbox,
    responses((status = 201, body = Data<Sandbox>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn fork(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<ForkSandbox>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesCreate)?;
    let parent = access::sandbox(&app, &caller, &id).await?;
    let work = {
        let app = app.clone();
        async move { kept::fork(&app, &caller, &parent, body).await }
    };
    let row = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::created(shown::sandbox(&app, row).await?))
}
