//! Login of a terminal by approval.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{self, Caller, Scope};
use crate::device_login::EXPIRES_IN_SEC;
use crate::http::json::{self, Json};
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(approve))
}

pub(super) fn open_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start))
        .routes(routes!(token))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct Start {
    /// Who asks, for the name of the key.
    client_name: Option<String>,
}

/// Begins a login.
#[utoipa::path(post, path = "/auth/cli/start", tag = "identity", request_body = Start, security(()),
    responses((status = 200, body = Object), (status = 429, body = ErrorBody)))]
async fn start(State(app): State<App>, Json(body): Json<Start>) -> Result<Response, ApiError> {
    let codes = app
        .logins
        .start(body.client_name.as_deref().unwrap_or("cli"))?;
    let uri = format!("{}/api/v1/auth/cli/approve", app.public_url());
    Ok(json::data(json!({
        "device_code": codes.device_code, "user_code": codes.user_code,
        "verification_uri": uri, "verification_uri_complete": format!("{uri}?user_code={}", codes.user_code),
        "expires_in": EXPIRES_IN_SEC, "interval": 2,
    })))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Poll {
    /// From the start.
    device_code: String,
}

/// The key, once the login is approved.
#[utoipa::path(post, path = "/auth/cli/token", tag = "identity", request_body = Poll, security(()),
    responses((status = 200, body = Object), (status = 410, body = ErrorBody), (status = 428, body = ErrorBody)))]
async fn token(State(app): State<App>, Json(body): Json<Poll>) -> Result<Response, ApiError> {
    let (tenant_id, name) = app.logins.take(&body.device_code)?;
    let (key, _) = auth::mint(&app.pool, &tenant_id, &name, &["*".to_owned()]).await?;
    Ok(json::data(json!({ "api_key": key })))
}

#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Approve {
    /// What the terminal shows.
    user_code: String,
}

/// Approves a login for the caller's tenant. Only a key that may do everything can pass that on.
#[utoipa::path(post, path = "/auth/cli/approve", tag = "identity", request_body = Approve,
    responses((status = 200, body = Object), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody)))]
async fn approve(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Approve>,
) -> Result<Response, ApiError> {
    caller.require(Scope::Operator)?;
    app.logins.approve(&body.user_code, &caller.tenant_id)?;
    Ok(json::data(json!({ "approved": true })))
}
