//! Bindings in the egress API's words: which secret is attached to which sandbox.

use axum::extract::State;
use axum::response::Response;
use miosa_api::connector::AttachConnector;
use miosa_api::egress::{CreateEgressBinding, EgressBinding};
use miosa_api::error::ErrorBody;
use miosa_api::{Data, List};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::clock::rfc3339;
use crate::http::json::{self, Json, Path, Query};
use crate::http::page;
use crate::store::bindings::{self as rows, BindingRow, LIVE};
use crate::{ApiError, App, bindings};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(delete))
}

/// A binding as it is shown.
pub(super) fn binding_view(row: &BindingRow) -> EgressBinding {
    EgressBinding {
        id: row.id.clone(),
        secret_id: row.connector_id.clone(),
        resource_id: row.sandbox_id.clone(),
        resource_type: "sandbox".to_owned(),
        expose_as_env: row.env_name.clone(),
        env_name: row.env_name.clone(),
        created_at: rfc3339(row.created_at),
    }
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct ListQuery {
    /// Only of this sandbox.
    resource_id: String,
    /// Only of this secret.
    secret_id: String,
}

/// What is attached in the tenant's sandboxes.
#[utoipa::path(get, path = "/egress/bindings", tag = "egress", params(ListQuery),
    responses((status = 200, body = List<EgressBinding>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    let all = rows::of_tenant(&app.pool, &caller.tenant_id).await?;
    let fits = |wanted: &str, has: &str| wanted.is_empty() || wanted == has;
    let wanted = all.iter().filter(|row| {
        row.state == LIVE
            && fits(&query.resource_id, &row.sandbox_id)
            && fits(&query.secret_id, &row.connector_id)
    });
    Ok(page::whole(wanted.map(binding_view).collect()))
}

/// Attaches a secret to a sandbox. It is in force when this answers.
#[utoipa::path(post, path = "/egress/bindings", tag = "egress", request_body = CreateEgressBinding,
    responses((status = 201, body = Data<EgressBinding>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateEgressBinding>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let sandbox = access::sandbox(&app, &caller, &body.resource_id).await?;
    let request = AttachConnector {
        connector: body.secret_id,
        env_name: body.expose_as_env,
        ..AttachConnector::default()
    };
    // Goes on when the caller goes away: an attach is never left half done.
    let work = async move { bindings::attach(&app, &sandbox, &request).await };
    let bound = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::created(binding_view(&bound.row)))
}

/// Detaches. The placeholder is dead when this answers.
#[utoipa::path(delete, path = "/egress/bindings/{id}", tag = "egress", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let row = rows::get(&app.pool, &caller.tenant_id, &id).await?;
    let row = row.ok_or_else(|| ApiError::not_found("binding", &id))?;
    let sandbox = access::sandbox(&app, &caller, &row.sandbox_id).await?;
    let work = async move { bindings::detach(&app, &sandbox, &row.id).await };
    tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::no_content())
}
