//! All snapshots of a tenant, whatever became of their sandboxes.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use miosa_api::sandbox::Sandbox;
use miosa_api::snapshot::{ForkSandbox, Snapshot};
use miosa_api::{Data, List};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path, Query};
use crate::http::page;
use crate::snapshots::{self as kept, view};
use crate::store::sandboxes;
use crate::store::snapshots::{self, Filter};
use crate::{ApiError, App, view as shown};

/// Rows of a list when not asked for, and at most.
const LIMIT_DEFAULT: i64 = 50;
const LIMIT_MAX: i64 = 200;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, delete))
        .routes(routes!(delete_many))
        .routes(routes!(fork))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// Sandbox they were taken of.
    resource_id: Option<String>,
    workspace_id: Option<String>,
    /// Part of a sandbox's name or id, or of a snapshot's id.
    q: Option<String>,
    /// At most 200.
    limit: Option<i64>,
    offset: Option<i64>,
}

/// A tenant's snapshots, newest first.
#[utoipa::path(get, path = "/snapshots", tag = "snapshots", params(HistoryQuery),
    responses((status = 200, body = List<Snapshot>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<HistoryQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let filter = Filter {
        sandbox_id: query.resource_id.unwrap_or_default(),
        workspace_id: query.workspace_id.unwrap_or_default(),
        text: query.q.unwrap_or_default(),
    };
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let offset = query.offset.unwrap_or(0).max(0);
    let rows = snapshots::list(&app.pool, &caller.tenant_id, &filter, limit, offset).await?;
    let shown: Result<Vec<Snapshot>, ApiError> = rows.iter().map(view).collect();
    Ok(page::whole(shown?))
}

/// One snapshot.
#[utoipa::path(get, path = "/snapshots/{snapshot_id}", tag = "snapshots", params(("snapshot_id" = String, Path)),
    responses((status = 200, body = Data<Snapshot>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    Ok(json::data(view(
        &kept::find(&app, &caller.tenant_id, &id).await?,
    )?))
}

/// Deletes a snapshot. Sandboxes made from it go on.
#[utoipa::path(delete, path = "/snapshots/{snapshot_id}", tag = "snapshots", params(("snapshot_id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let row = kept::find(&app, &caller.tenant_id, &id).await?;
    kept::delete(&app, &row).await?;
    Ok(json::no_content())
}

/// Which to delete: some by id, or all of one sandbox, confirmed by its id.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct DeleteMany {
    ids: Vec<String>,
    resource_id: Option<String>,
    all: bool,
    confirm: Option<String>,
}

/// Deletes several; one that is not there does not keep the others.
#[utoipa::path(post, path = "/snapshots/delete", tag = "snapshots", request_body = DeleteMany,
    responses((status = 200, body = Object), (status = 422, body = ErrorBody)))]
async fn delete_many(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<DeleteMany>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let mut ids = body.ids;
    if let Some(sandbox_id) = body.resource_id.filter(|_| body.all) {
        if body.confirm.as_deref() != Some(&sandbox_id) {
            return Err(ApiError::invalid("confirm", "it repeats resource_id"));
        }
        let filter = Filter {
            sandbox_id,
            ..Filter::default()
        };
        let most = miosa_api::limits::SNAPSHOTS_PER_TENANT_MAX;
        let all = snapshots::list(&app.pool, &caller.tenant_id, &filter, most, 0).await?;
        ids.extend(all.into_iter().map(|row| row.id));
    }
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for id in ids {
        match kept::find(&app, &caller.tenant_id, &id).await {
            Ok(row) => {
                kept::delete(&app, &row).await?;
                deleted.push(id);
            }
            Err(error) => failed.push(json!({ "id": id, "code": error.code.as_str() })),
        }
    }
    Ok(json::data(json!({ "deleted": deleted, "failed": failed })))
}

/// Makes a new sandbox of a snapshot, also of one whose sandbox is gone.
#[utoipa::path(post, path = "/snapshots/{snapshot_id}/fork", tag = "snapshots",
    params(("snapshot_id" = String, Path)), request_body = ForkSandbox,
    responses((status = 201, body = Data<Sandbox>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn fork(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(mut body): Json<ForkSandbox>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesCreate)?;
    let snapshot = kept::find(&app, &caller.tenant_id, &id).await?;
    body.snapshot_id = Some(snapshot.id);
    let parent = sandboxes::get(&app.pool, &caller.tenant_id, &snapshot.sandbox_id)
        .await?
        .ok_or_else(|| ApiError::not_found("snapshot", &id))?;
    let work = {
        let app = app.clone();
        async move { kept::fork(&app, &caller, &parent, body).await }
    };
    let row = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::created(shown::sandbox(&app, row).await?))
}
