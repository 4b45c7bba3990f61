//! API keys: list, make, revoke.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::identity::ApiKey;
use miosa_api::limits::RATE_LIMIT_RPM_DEFAULT;
use miosa_api::{Data, List};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{self, Caller, Scope};
use crate::http::json::{self, Json, Path};
use crate::http::page;
use crate::store::api_keys;
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, revoke))
        .routes(routes!(rotate))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct CreateKey {
    /// For people.
    name: String,
    /// What it may do; `*` when absent. Not more than the key that makes it.
    scopes: Option<Vec<String>>,
    /// Requests a minute, no more than the server's own limit, which holds when absent.
    rate_limit_rpm: Option<u32>,
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct PatchKey {
    /// New name.
    name: Option<String>,
    /// Replaces what it may do. Not more than the key that changes it.
    scopes: Option<Vec<String>>,
    /// Requests a minute.
    rate_limit_rpm: Option<u32>,
}

/// Scopes there are, all of them the caller's own.
fn checked_scopes(caller: &Caller, scopes: &[String]) -> Result<(), ApiError> {
    if let Some(unknown) = scopes.iter().find(|scope| !auth::is_scope(scope)) {
        return Err(ApiError::invalid(
            "scopes",
            format!("there is no scope {unknown}"),
        ));
    }
    if scopes.is_empty() {
        return Err(ApiError::invalid("scopes", "there is none"));
    }
    within_own(
        caller,
        scopes,
        "a key cannot hand out scopes it does not hold",
    )
}

fn within_own(caller: &Caller, scopes: &[String], why: &str) -> Result<(), ApiError> {
    if caller.holds_all(scopes) {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Forbidden, why))
}

fn checked_rate(asked: Option<u32>) -> Result<Option<i64>, ApiError> {
    match asked {
        Some(rpm) if !(1..=RATE_LIMIT_RPM_DEFAULT).contains(&rpm) => Err(ApiError::invalid(
            "rate_limit_rpm",
            format!("1 to {RATE_LIMIT_RPM_DEFAULT}"),
        )),
        other => Ok(other.map(i64::from)),
    }
}

/// An active key of the tenant's that may do no more than the caller.
async fn changeable(app: &App, caller: &Caller, id: &str) -> Result<api_keys::KeyRow, ApiError> {
    let row = api_keys::get(&app.pool, &caller.tenant_id, id)
        .await?
        .filter(|row| row.status == "active")
        .ok_or_else(|| ApiError::not_found("API key", id))?;
    let held: Vec<String> = row.scopes.split(',').map(ToOwned::to_owned).collect();
    within_own(
        caller,
        &held,
        "this key may do more than the one that changes it",
    )?;
    Ok(row)
}

/// The tenant's keys, newest first, without the keys themselves.
#[utoipa::path(get, path = "/api-keys", tag = "identity", responses((status = 200, body = List<ApiKey>)))]
async fn list(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(Scope::KeysWrite)?;
    let rows = api_keys::list(&app.pool, &caller.tenant_id).await?;
    Ok(page::whole(
        rows.into_iter().map(api_keys::KeyRow::listed).collect(),
    ))
}

/// Makes a key. The answer is the only place it is ever shown.
#[utoipa::path(post, path = "/api-keys", tag = "identity", request_body = CreateKey,
    responses((status = 201, body = Object), (status = 403, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateKey>,
) -> Result<Response, ApiError> {
    caller.require(Scope::KeysWrite)?;
    let scopes = body.scopes.unwrap_or_else(|| vec!["*".to_owned()]);
    checked_scopes(&caller, &scopes)?;
    let rate = checked_rate(body.rate_limit_rpm)?;
    let name = if body.name.trim().is_empty() {
        "key".to_owned()
    } else {
        body.name
    };
    let (key, mut row) = auth::mint(&app.pool, &caller.tenant_id, &name, &scopes).await?;
    if let Some(rate) = rate {
        row.rate_limit_rpm = rate;
        api_keys::save(&app.pool, &row).await?;
    }
    let mut shown = serde_json::to_value(row.listed()).map_err(ApiError::internal)?;
    shown["key"] = key.into();
    Ok(json::created(shown))
}

/// One key, without the key itself.
#[utoipa::path(get, path = "/api-keys/{id}", tag = "identity", params(("id" = String, Path)),
    responses((status = 200, body = Data<ApiKey>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::KeysWrite)?;
    let row = api_keys::get(&app.pool, &caller.tenant_id, &id)
        .await?
        .ok_or_else(|| ApiError::not_found("API key", &id))?;
    Ok(json::data(row.listed()))
}

/// Changes name, scopes or rate; it holds from the key's next request on.
#[utoipa::path(patch, path = "/api-keys/{id}", tag = "identity", params(("id" = String, Path)), request_body = PatchKey,
    responses((status = 200, body = Data<ApiKey>), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
async fn patch(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<PatchKey>,
) -> Result<Response, ApiError> {
    caller.require(Scope::KeysWrite)?;
    let mut row = changeable(&app, &caller, &id).await?;
    if let Some(scopes) = body.scopes {
        checked_scopes(&caller, &scopes)?;
        row.scopes = scopes.join(",");
    }
    if let Some(name) = body.name.filter(|name| !name.trim().is_empty()) {
        row.name = name;
    }
    row.rate_limit_rpm = checked_rate(body.rate_limit_rpm)?.unwrap_or(row.rate_limit_rpm);
    api_keys::save(&app.pool, &row).await?;
    Ok(json::data(row.listed()))
}

/// Gives a key a new value, shown here alone; the old one ends at once.
#[utoipa::path(post, path = "/api-keys/{id}/rotate", tag = "identity", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn rotate(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::KeysWrite)?;
    let row = changeable(&app, &caller, &id).await?;
    let (key, row) = auth::renew(&app.pool, row).await?;
    let mut shown = serde_json::to_value(row.listed()).map_err(ApiError::internal)?;
    shown["key"] = key.into();
    Ok(json::data(shown))
}

/// Revokes a key at once.
#[utoipa::path(delete, path = "/api-keys/{id}", tag = "identity", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::KeysWrite)?;
    if api_keys::revoke(&app.pool, &caller.tenant_id, &id).await? {
        return Ok(json::no_content());
    }
    Err(ApiError::not_found("API key", &id))
}
