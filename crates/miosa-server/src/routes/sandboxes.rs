//! Sandboxes: create, list, read, change, delete.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use miosa_api::sandbox::{CreateSandbox, PatchSandbox, Sandbox};
use miosa_api::{Data, List};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path, Query};
use crate::http::page::PageQuery;
use crate::lifecycle::state::Event;
use crate::lifecycle::{Cause, order};
use crate::store::sandboxes::{self, Filter, SandboxRow};
use crate::{ApiError, App, admission, settings, snapshots, view};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(by_name))
        .routes(routes!(get, patch, delete))
        .routes(routes!(set_tags))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct CreateQuery {
    /// `false` or `0` answers at once, in state `creating`; otherwise the answer waits for the start.
    wait: Option<String>,
}

/// Makes a sandbox and starts it.
#[utoipa::path(post, path = "/sandboxes", tag = "sandboxes", request_body = CreateSandbox, params(CreateQuery),
    responses((status = 201, body = Data<Sandbox>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
    (status = 422, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<CreateQuery>,
    Json(body): Json<CreateSandbox>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesCreate)?;
    settings::may_be_made(&app, &caller, &body).await?;
    let row = match snapshot_named(&body) {
        Some(id) => over_snapshot(&app, caller, id, body).await?,
        None => {
            let env = body.env.clone();
            let row = admission::admit(&app, &caller.tenant_id, body).await?;
            admission::insert(&app, &row, &env).await?;
            row
        }
    };
    let waits = !matches!(query.wait.as_deref(), Some("false" | "0"));
    let start = {
        let (app, id) = (app.clone(), row.id.clone());
        async move { order(&app, &id, Event::Create, Cause::Request).await }
    };
    let row = if waits {
        start.await?
    } else {
        app.tasks.spawn(start);
        row
    };
    Ok(json::created(view::sandbox(&app, row).await?))
}

/// The snapshot a request names, by its field or as its source.
fn snapshot_named(body: &CreateSandbox) -> Option<String> {
    let source = body
        .source
        .as_deref()
        .and_then(|it| it.strip_prefix("snapshot:"));
    let named = body.snapshot_id.as_deref().or(source);
    named.filter(|id| !id.is_empty()).map(str::to_owned)
}

async fn over_snapshot(
    app: &App,
    caller: Caller,
    id: String,
    body: CreateSandbox,
) -> Result<SandboxRow, ApiError> {
    let snapshot = snapshots::find(app, &caller.tenant_id, &id).await?;
    let app = app.clone();
    // Goes on when the caller goes away: no connector is left half attached.
    let work = async move { snapshots::make(&app, &caller, &snapshot, body).await };
    tokio::spawn(work).await.map_err(ApiError::internal)?
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Word of a state; without it everything that is not destroyed.
    state: Option<String>,
    /// Comma list; all of them must be there.
    tags: Option<String>,
    workspace_id: Option<String>,
    external_user_id: Option<String>,
    external_workspace_id: Option<String>,
    external_project_id: Option<String>,
}

/// The tenant's sandboxes, newest first.
#[utoipa::path(get, path = "/sandboxes", tag = "sandboxes", params(ListQuery, PageQuery),
    responses((status = 200, body = List<Sandbox>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let tags: Vec<String> = query
        .tags
        .iter()
        .flat_map(|tags| tags.split(','))
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .collect();
    let filter = Filter {
        state: query.state,
        tags,
        workspace_id: query.workspace_id,
        external_user_id: query.external_user_id,
        external_workspace_id: query.external_workspace_id,
        external_project_id: query.external_project_id,
    };
    let (rows, total) = sandboxes::page(
        &app.pool,
        &caller.tenant_id,
        &filter,
        page.limit(),
        page.offset(),
    )
    .await?;
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        shown.push(view::sandbox(&app, row).await?);
    }
    Ok(page.list(shown, total))
}

/// One live sandbox by its name.
#[utoipa::path(get, path = "/sandboxes/by-name/{name}", tag = "sandboxes", params(("name" = String, Path)),
    responses((status = 200, body = Data<Sandbox>), (status = 404, body = ErrorBody)))]
async fn by_name(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = sandboxes::by_name(&app.pool, &caller.tenant_id, &name)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox named", &name))?;
    Ok(json::data(view::sandbox(&app, row).await?))
}

/// One sandbox.
#[utoipa::path(get, path = "/sandboxes/{id}", tag = "sandboxes", params(("id" = String, Path)),
    responses((status = 200, body = Data<Sandbox>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::sandbox(&app, &caller, &id).await?;
    Ok(json::data(view::sandbox(&app, row).await?))
}

/// Changes settings. A changed network policy is in force when this answers.
#[utoipa::path(patch, path = "/sandboxes/{id}", tag = "sandboxes", params(("id" = String, Path)), request_body = PatchSandbox,
    responses((status = 200, body = Data<Sandbox>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn patch(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<PatchSandbox>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    // Goes on when the caller goes away: a change is never left half in force.
    let work = async move {
        let row = settings::patch(&app, &caller, &id, body).await?;
        view::sandbox(&app, row).await
    };
    let patched = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::data(patched))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Tags {
    tags: Vec<String>,
}

/// Replaces the labels.
#[utoipa::path(patch, path = "/sandboxes/{id}/tags", tag = "sandboxes", params(("id" = String, Path)), request_body = Tags,
    responses((status = 200, body = Data<Sandbox>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn set_tags(
    state: State<App>,
    caller: Caller,
    id: Path<String>,
    Json(body): Json<Tags>,
) -> Result<Response, ApiError> {
    let change = PatchSandbox {
        tags: Some(body.tags),
        ..PatchSandbox::default()
    };
    patch(state, caller, id, Json(change)).await
}

/// Destroys a sandbox: processes, disk, bindings.
#[utoipa::path(delete, path = "/sandboxes/{id}", tag = "sandboxes", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    access::sandbox(&app, &caller, &id).await?;
    order(&app, &id, Event::Destroy, Cause::Request).await?;
    Ok(json::no_content())
}
