//! Network policies: mode and default effect of a tenant, a workspace or a sandbox.

use axum::extract::State;
use axum::response::Response;
use miosa_api::egress::{CreateEgressPolicy, EgressPolicy, PatchEgressPolicy, SetEgressMode};
use miosa_api::error::ErrorBody;
use miosa_api::{Data, List};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path, Query};
use crate::http::page;
use crate::network::effective::policy_view;
use crate::network::{Place, change};
use crate::store::network_policies::{self, PolicyRow};
use crate::store::network_rules::{self, Filter};
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create, set_mode))
        .routes(routes!(get, patch, delete))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct ListQuery {
    /// `tenant`, `workspace` or `sandbox`.
    resource_type: String,
    /// Which workspace or sandbox.
    resource_id: String,
}

async fn view(app: &App, row: &PolicyRow) -> Result<EgressPolicy, ApiError> {
    let filter = Filter {
        policy_id: row.id.clone(),
        ..Filter::default()
    };
    let rules = network_rules::list(&app.pool, &row.tenant_id, &filter).await?;
    Ok(policy_view(row, &rules))
}

/// The tenant's policies, oldest first.
#[utoipa::path(get, path = "/egress/policies", tag = "egress", params(ListQuery),
    responses((status = 200, body = List<EgressPolicy>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkRead)?;
    let (kind, id) = (&query.resource_type, &query.resource_id);
    let rows = network_policies::list(&app.pool, &caller.tenant_id, kind, id).await?;
    let rules = network_rules::list(&app.pool, &caller.tenant_id, &Filter::default()).await?;
    let views = rows.iter().map(|row| policy_view(row, &rules));
    Ok(page::whole(views.collect()))
}

/// Makes a policy. It is in force when this answers.
#[utoipa::path(post, path = "/egress/policies", tag = "egress", request_body = CreateEgressPolicy,
    responses((status = 201, body = Data<EgressPolicy>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateEgressPolicy>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkWrite)?;
    // Goes on when the caller goes away: a change is never left half in force.
    let work = async move {
        let row = change::create_policy(&app, &caller.tenant_id, body).await?;
        view(&app, &row).await
    };
    let made = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::created(made))
}

/// Lockdown or observe without naming a policy: sets the mode of a tenant, workspace or sandbox.
#[utoipa::path(patch, path = "/egress/policies", tag = "egress", request_body = SetEgressMode,
    responses((status = 200, body = Data<EgressPolicy>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
async fn set_mode(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<SetEgressMode>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkWrite)?;
    let (kind, id) = (body.resource_type.as_deref(), body.resource_id.as_deref());
    let place = Place::read(&app, &caller.tenant_id, kind, id).await?;
    let work = async move {
        let row = change::set_mode(&app, &place, body.mode).await?;
        view(&app, &row).await
    };
    let set = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::data(set))
}

/// One policy with its rules.
#[utoipa::path(get, path = "/egress/policies/{id}", tag = "egress", params(("id" = String, Path)),
    responses((status = 200, body = Data<EgressPolicy>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkRead)?;
    let row = change::find_policy(&app, &caller.tenant_id, &id).await?;
    Ok(json::data(view(&app, &row).await?))
}

/// Changes a policy: `{"mode": "enforce"}` is lockdown, `{"mode": "audit_only"}` observe.
#[utoipa::path(patch, path = "/egress/policies/{id}", tag = "egress", params(("id" = String, Path)),
    request_body = PatchEgressPolicy,
    responses((status = 200, body = Data<EgressPolicy>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
async fn patch(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<PatchEgressPolicy>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkWrite)?;
    let work = async move {
        let row = change::patch_policy(&app, &caller.tenant_id, &id, body).await?;
        view(&app, &row).await
    };
    let patched = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::data(patched))
}

/// Removes a policy with the rules that were added to it.
#[utoipa::path(delete, path = "/egress/policies/{id}", tag = "egress", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkWrite)?;
    let work = async move { change::delete_policy(&app, &caller.tenant_id, &id).await };
    tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::no_content())
}
