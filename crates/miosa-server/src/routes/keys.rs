//! API keys: list, make, revoke.

use axum::extract::State;
use axum::response::Response;
use miosa_api::List;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::identity::ApiKey;
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
        .routes(routes!(revoke))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct CreateKey {
    /// For people.
    name: String,
    /// What it may do; `*` when absent. Not more than the key that makes it.
    scopes: Option<Vec<String>>,
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
    if let Some(unknown) = scopes.iter().find(|scope| !auth::is_scope(scope)) {
        return Err(ApiError::invalid(
            "scopes",
            format!("there is no scope {unknown}"),
        ));
    }
    if scopes.is_empty() {
        return Err(ApiError::invalid("scopes", "there is none"));
    }
    if !caller.holds_all(&scopes) {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "a key cannot hand out scopes it does not hold",
        ));
    }
    let name = if body.name.trim().is_empty() {
        "key".to_owned()
    } else {
        body.name
    };
    let (key, row) = auth::mint(&app.pool, &caller.tenant_id, &name, &scopes).await?;
    let mut shown = serde_json::to_value(row.listed()).map_err(ApiError::internal)?;
    shown["key"] = key.into();
    Ok(json::created(shown))
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
