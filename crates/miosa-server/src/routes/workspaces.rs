//! Workspaces: groups of a tenant's sandboxes, and what is in them.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::limits::WORKSPACE_NAME_CHARS_MAX;
use miosa_api::sandbox::Sandbox;
use miosa_api::workspace::{CreateWorkspace, PatchWorkspace, Workspace};
use miosa_api::{Data, List};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::usage::{self, Period, Totals};
use crate::auth::{Caller, Scope};
use crate::clock::now_ms;
use crate::http::json::Query;
use crate::http::json::{self as answer, Json, Path};
use crate::http::page::{self, PageQuery};
use crate::store::is_taken;
use crate::store::sandboxes::{self, Filter};
use crate::store::workspaces::{self as store, WorkspaceRow};
use crate::{ApiError, App, view};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
        .routes(routes!(sandboxes_of))
        .routes(routes!(stats))
        .routes(routes!(usage_of))
}

async fn one(app: &App, caller: &Caller, id: &str) -> Result<WorkspaceRow, ApiError> {
    let found = store::get(&app.pool, &caller.tenant_id, id).await?;
    found.ok_or_else(|| ApiError::not_found("workspace", id))
}

/// The tenant's workspaces, newest first.
#[utoipa::path(get, path = "/workspaces", tag = "workspaces", responses((status = 200, body = List<Workspace>)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspacesRead)?;
    let rows = store::list(&app.pool, &caller.tenant_id).await?;
    Ok(page::whole(
        rows.into_iter().map(WorkspaceRow::view).collect(),
    ))
}

/// Makes a workspace, or finds the one with this `external_workspace_id` (200, `reused`).
#[utoipa::path(post, path = "/workspaces", tag = "workspaces", request_body = CreateWorkspace,
    responses((status = 200, body = Object), (status = 201, body = Data<Workspace>), (status = 409, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateWorkspace>,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspacesWrite)?;
    let tenant_id = &caller.tenant_id;
    let outside = body.external_workspace_id.filter(|id| !id.is_empty());
    if let Some(outside) = &outside
        && let Some(known) = store::by_external_id(&app.pool, tenant_id, outside).await?
    {
        return Ok(reused(known));
    }
    let name = checked_name(&body.name)?;
    if !body.allow_duplicate_name
        && let Some(other) = store::by_name(&app.pool, tenant_id, &name).await?
    {
        return Err(name_exists(other));
    }
    let now = now_ms();
    let row = WorkspaceRow {
        id: uuid::Uuid::now_v7().to_string(),
        tenant_id: tenant_id.clone(),
        slug: slug(body.slug.as_deref(), &name)?,
        name,
        description: body.description,
        metadata: serde_json::Value::Object(body.metadata).to_string(),
        external_workspace_id: outside.clone(),
        external_user_id: body.external_user_id,
        created_at: now,
        updated_at: now,
    };
    match store::insert(&app.pool, &row).await {
        Ok(()) => Ok(answer::created(row.view())),
        Err(error) if is_taken(&error) => {
            // Another request made it meanwhile; what is taken otherwise is the handle.
            let known = match &outside {
                Some(outside) => store::by_external_id(&app.pool, tenant_id, outside).await?,
                None => None,
            };
            known.map(reused).ok_or_else(|| {
                ApiError::new(ErrorCode::NameTaken, "another workspace has this slug")
            })
        }
        Err(error) => Err(error.into()),
    }
}

fn reused(row: WorkspaceRow) -> Response {
    axum::Json(json!({ "data": row.view(), "reused": true })).into_response()
}

fn name_exists(other: WorkspaceRow) -> ApiError {
    ApiError::new(
        ErrorCode::WorkspaceNameExists,
        format!("there is a workspace named {:?} already", other.name),
    )
    .with_hint("send `allow_duplicate_name: true` when a second one is meant")
    .with_details(json!({ "existing": { "id": other.id, "name": other.name, "slug": other.slug } }))
}

fn checked_name(name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > WORKSPACE_NAME_CHARS_MAX {
        return Err(ApiError::invalid(
            "name",
            format!("1 to {WORKSPACE_NAME_CHARS_MAX} characters"),
        ));
    }
    Ok(name.to_owned())
}

/// The handle asked for, or one made of the name; random letters keep two of one name apart.
fn slug(asked: Option<&str>, name: &str) -> Result<String, ApiError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match asked {
        Some(slug) if !slug.is_empty() && slug.len() <= 63 && slug.chars().all(plain) => {
            Ok(slug.to_owned())
        }
        Some(_) => Err(ApiError::invalid(
            "slug",
            "lower case letters, digits and dashes, at most 63",
        )),
        None => {
            let dashed = |c: char| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            };
            let stem: String = name.chars().take(40).map(dashed).collect();
            let end = hex::encode(rand::random::<[u8; 3]>());
            Ok(format!("{}-{end}", stem.trim_matches('-'))
                .trim_matches('-')
                .to_owned())
        }
    }
}

/// One workspace.
#[utoipa::path(get, path = "/workspaces/{id}", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 200, body = Data<Workspace>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspacesRead)?;
    Ok(answer::data(one(&app, &caller, &id).await?.view()))
}

/// Changes name, description and facts.
#[utoipa::path(patch, path = "/workspaces/{id}", tag = "workspaces", params(("id" = String, Path)), request_body = PatchWorkspace,
    responses((status = 200, body = Data<Workspace>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn patch(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<PatchWorkspace>,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspacesWrite)?;
    let mut row = one(&app, &caller, &id).await?;
    if let Some(name) = body.name {
        row.name = checked_name(&name)?;
    }
    row.description = body.description.or(row.description);
    if let Some(metadata) = body.metadata {
        row.metadata = serde_json::Value::Object(metadata).to_string();
    }
    row.updated_at = now_ms();
    store::save(&app.pool, &row).await?;
    Ok(answer::data(row.view()))
}

/// Removes a workspace in which no sandbox lives.
#[utoipa::path(delete, path = "/workspaces/{id}", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::WorkspacesWrite)?;
    one(&app, &caller, &id).await?;
    if store::delete_empty(&app.pool, &caller.tenant_id, &id).await? {
        return Ok(answer::no_content());
    }
    Err(ApiError::new(
        ErrorCode::ResourceState,
        format!("sandboxes live in the workspace {id}"),
    )
    .with_hint("destroy them first"))
}

/// Sandboxes of a workspace, newest first.
#[utoipa::path(get, path = "/workspaces/{id}/sandboxes", tag = "workspaces", params(("id" = String, Path), PageQuery),
    responses((status = 200, body = List<Sandbox>), (status = 404, body = ErrorBody)))]
async fn sandboxes_of(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(page): Query<PageQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    one(&app, &caller, &id).await?;
    let filter = Filter {
        workspace_id: Some(id),
        ..Filter::default()
    };
    let tenant_id = &caller.tenant_id;
    let (rows, total) =
        sandboxes::page(&app.pool, tenant_id, &filter, page.limit(), page.offset()).await?;
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        shown.push(view::sandbox(&app, row).await?);
    }
    Ok(page.list(shown, total))
}

/// How many sandboxes are in it, by state.
#[utoipa::path(get, path = "/workspaces/{id}/stats", tag = "workspaces", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn stats(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    one(&app, &caller, &id).await?;
    let mut by_state = std::collections::BTreeMap::<String, u64>::new();
    for row in inside(&app, &caller, &id, &Period::all()).await? {
        *by_state.entry(row.state).or_default() += 1;
    }
    let live: u64 = by_state
        .iter()
        .filter(|(state, _)| *state != "destroyed")
        .map(|(_, count)| count)
        .sum();
    Ok(answer::data(
        json!({ "workspace_id": id, "sandboxes": live, "by_state": by_state }),
    ))
}

/// What the sandboxes of a workspace used, those that are gone included.
#[utoipa::path(get, path = "/workspaces/{id}/usage", tag = "workspaces", params(("id" = String, Path), usage::PeriodQuery),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn usage_of(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<usage::PeriodQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    one(&app, &caller, &id).await?;
    let period = query.period(now_ms())?;
    let mut totals = Totals::default();
    for row in inside(&app, &caller, &id, &period).await? {
        totals.add(&row, &period);
    }
    Ok(answer::data(json!({
        "workspace_id": id, "totals": totals,
        "period_start": period.start(), "period_end": period.end(),
    })))
}

async fn inside(
    app: &App,
    caller: &Caller,
    id: &str,
    period: &Period,
) -> Result<Vec<sandboxes::SandboxRow>, ApiError> {
    let mut rows =
        sandboxes::alive_between(&app.pool, &caller.tenant_id, period.from_ms, period.to_ms)
            .await?;
    rows.retain(|row| row.workspace_id.as_deref() == Some(id));
    Ok(rows)
}
