//! Connectors: stored credentials and where they belong.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use miosa_api::budget::Budget;
use miosa_api::connector::{
    CatalogEntry, Connector, CreateConnector, RotateConnector, SupplyConnector, TokenAnswer,
    TokenRequest,
};
use miosa_api::error::ErrorBody;
use miosa_api::{Data, List};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::connectors::{Definition, stored, supply};
use crate::http::json::{self, Json, Path};
use crate::http::page;
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(catalog))
        .routes(routes!(list, create))
        .routes(routes!(get, rotate, delete))
        .routes(routes!(token))
        .routes(routes!(supply, revoke))
        .routes(routes!(budget))
}

/// What connectors can be made of (`api_key`), or attached (`managed`).
#[utoipa::path(get, path = "/connect/catalog", tag = "connectors",
    responses((status = 200, body = List<CatalogEntry>)))]
async fn catalog(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    Ok(page::whole(
        app.catalog.all().map(Definition::entry).collect(),
    ))
}

/// Goes on when the caller goes away: a change is never left half in force.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::spawn(work).await.map_err(ApiError::internal)?
}

/// Managed connectors and the tenant's own. No value is ever listed.
#[utoipa::path(get, path = "/connect/connectors", tag = "connectors",
    responses((status = 200, body = List<Connector>)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    Ok(page::whole(stored::list(&app, &caller.tenant_id).await?))
}

/// Stores a secret. It is sealed at once and comes back only by `connect/token`.
#[utoipa::path(post, path = "/connect/connectors", tag = "connectors", request_body = CreateConnector,
    responses((status = 201, body = Data<Connector>), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateConnector>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let work = async move { stored::create(&app, &caller.tenant_id, body).await };
    Ok(json::created(to_its_end(work).await?))
}

/// One connector, by uid (`%2F` for its slash) or id.
#[utoipa::path(get, path = "/connect/connectors/{uid}", tag = "connectors", params(("uid" = String, Path)),
    responses((status = 200, body = Data<Connector>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(uid): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    Ok(json::data(
        stored::get(&app, &caller.tenant_id, &uid).await?,
    ))
}

/// Replaces the secret; placeholders stay.
#[utoipa::path(patch, path = "/connect/connectors/{uid}", tag = "connectors", params(("uid" = String, Path)),
    request_body = RotateConnector,
    responses((status = 200, body = Data<Connector>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn rotate(
    State(app): State<App>,
    caller: Caller,
    Path(uid): Path<String>,
    Json(body): Json<RotateConnector>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let work = async move { stored::rotate(&app, &caller.tenant_id, &uid, &body.credential).await };
    Ok(json::data(to_its_end(work).await?))
}

/// Detaches it from every sandbox and removes it.
#[utoipa::path(delete, path = "/connect/connectors/{uid}", tag = "connectors", params(("uid" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(uid): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    to_its_end(async move { stored::delete(&app, &caller.tenant_id, &uid).await }).await?;
    Ok(json::no_content())
}

/// The secret of the tenant's own connector. A managed one is never read: 403.
#[utoipa::path(post, path = "/connect/token/{uid}", tag = "connectors", params(("uid" = String, Path)),
    request_body = TokenRequest,
    responses((status = 200, body = TokenAnswer), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn token(
    State(app): State<App>,
    caller: Caller,
    Path(uid): Path<String>,
    _body: Json<TokenRequest>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let (token, connector) = stored::reveal(&app, &caller.tenant_id, &uid).await?;
    let mut response = axum::Json(TokenAnswer { token, connector }).into_response();
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The operator supplies the token of a managed connector, first or new, and says how often it may be used.
#[utoipa::path(post, path = "/admin/connectors/{uid}", tag = "connectors", params(("uid" = String, Path)),
    request_body = SupplyConnector,
    responses((status = 200, body = Data<Connector>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn supply(
    State(app): State<App>,
    caller: Caller,
    Path(uid): Path<String>,
    Json(body): Json<SupplyConnector>,
) -> Result<Response, ApiError> {
    caller.require(Scope::Operator)?;
    let work =
        async move { supply::supply(&app, &uid, &body.credential, body.budget.as_ref()).await };
    Ok(json::data(to_its_end(work).await?))
}

/// How often each tenant and each sandbox may use a managed connector; in force when it answers.
#[utoipa::path(put, path = "/admin/connectors/{uid}/budget", tag = "connectors", params(("uid" = String, Path)),
    request_body = Budget,
    responses((status = 200, body = Data<Connector>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn budget(
    State(app): State<App>,
    caller: Caller,
    Path(uid): Path<String>,
    Json(body): Json<Budget>,
) -> Result<Response, ApiError> {
    caller.require(Scope::Operator)?;
    let work = async move { supply::set_budget(&app, &uid, &body).await };
    Ok(json::data(to_its_end(work).await?))
}

/// Takes the token of a managed connector away, and the connector off every sandbox.
#[utoipa::path(delete, path = "/admin/connectors/{uid}", tag = "connectors", params(("uid" = String, Path)),
    responses((status = 200, body = Data<Connector>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(uid): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::Operator)?;
    let work = async move { supply::revoke(&app, &uid).await };
    Ok(json::data(to_its_end(work).await?))
}
