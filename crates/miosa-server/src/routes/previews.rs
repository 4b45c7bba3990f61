//! Previews of a sandbox: expose, list, share, close.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::preview::{Expose, Preview};
use miosa_api::{Data, List};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::clock::rfc3339;
use crate::http::json::{self as answer, Json, Path};
use crate::http::page;
use crate::preview::expose;
use crate::store::previews::{self as store, PreviewRow};
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(expose_port))
        .routes(routes!(list, create))
        .routes(routes!(get, delete))
        .routes(routes!(share, unshare))
        .routes(routes!(preview_token))
}

/// Body of `POST …/previews`: `name` is what `title` is in `expose`.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct CreatePreview {
    port: Option<u16>,
    #[serde(alias = "title")]
    name: Option<String>,
    visibility: Option<String>,
}

/// How long a token shall live.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct TokenWish {
    /// Exposed port it is for; the first one when absent. A share has its port in the path.
    port: Option<u16>,
    #[serde(alias = "expires_in")]
    ttl_seconds: Option<i64>,
    scope: Option<String>,
}

async fn one(
    app: &App,
    caller: &Caller,
    sandbox_id: &str,
    id: &str,
) -> Result<PreviewRow, ApiError> {
    let found = store::get(&app.pool, &caller.tenant_id, sandbox_id, id).await?;
    found.ok_or_else(|| ApiError::not_found("preview", id))
}

/// Serves a port under a host name. One that is exposed already keeps its address.
#[utoipa::path(post, path = "/sandboxes/{id}/expose", tag = "previews", params(("id" = String, Path)), request_body = Expose,
    responses((status = 200, body = Data<Preview>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn expose_port(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<Expose>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    Ok(answer::data(expose::expose(&app, &sandbox, &body).await?))
}

/// Exposed ports.
#[utoipa::path(get, path = "/sandboxes/{id}/previews", tag = "previews", params(("id" = String, Path)),
    responses((status = 200, body = List<Preview>), (status = 404, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let rows = store::list(&app.pool, &caller.tenant_id, &sandbox.id).await?;
    Ok(page::whole(
        rows.iter()
            .map(|row| expose::shown(&app, &sandbox, row))
            .collect(),
    ))
}

/// The same as `expose`, under the older name.
#[utoipa::path(post, path = "/sandboxes/{id}/previews", tag = "previews", params(("id" = String, Path)), request_body = CreatePreview,
    responses((status = 201, body = Data<Preview>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<CreatePreview>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let asked = Expose {
        port: body.port,
        title: body.name,
        visibility: body.visibility,
    };
    Ok(answer::created(
        expose::expose(&app, &sandbox, &asked).await?,
    ))
}

/// One exposed port.
#[utoipa::path(get, path = "/sandboxes/{id}/previews/{preview}", tag = "previews",
    params(("id" = String, Path), ("preview" = String, Path)),
    responses((status = 200, body = Data<Preview>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((id, preview)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let row = one(&app, &caller, &sandbox.id, &preview).await?;
    Ok(answer::data(expose::shown(&app, &sandbox, &row)))
}

/// Closes a port again; its tokens end.
#[utoipa::path(delete, path = "/sandboxes/{id}/previews/{preview}", tag = "previews",
    params(("id" = String, Path), ("preview" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((id, preview)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    if !store::delete(&app.pool, &caller.tenant_id, &sandbox.id, &preview).await? {
        return Err(ApiError::not_found("preview", &preview));
    }
    Ok(answer::no_content())
}

/// Makes a link that opens this preview alone. The token is shown once.
#[utoipa::path(post, path = "/sandboxes/{id}/previews/{preview}/share", tag = "previews",
    params(("id" = String, Path), ("preview" = String, Path)), request_body = TokenWish,
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn share(
    State(app): State<App>,
    caller: Caller,
    Path((id, preview)): Path<(String, String)>,
    Json(wish): Json<TokenWish>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let row = one(&app, &caller, &sandbox.id, &preview).await?;
    let minted = expose::mint(&app, &row, expose::SHARE_PREFIX, wish.ttl_seconds).await?;
    let mut shown =
        serde_json::to_value(expose::shown(&app, &sandbox, &row)).map_err(ApiError::internal)?;
    shown["expires_at"] = Value::from(rfc3339(minted.expires_at));
    shown["share_token_prefix"] = Value::from(&minted.token[..expose::SHARE_PREFIX.len() + 4]);
    let url = shown["url"].as_str().unwrap_or_default();
    let share_url = format!("{url}/?preview_token={}", minted.token);
    Ok(axum::response::IntoResponse::into_response(axum::Json(
        json!({ "data": shown, "preview_token": minted.token, "share_url": share_url }),
    )))
}

/// Ends all links to this preview.
#[utoipa::path(delete, path = "/sandboxes/{id}/previews/{preview}/share", tag = "previews",
    params(("id" = String, Path), ("preview" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn unshare(
    State(app): State<App>,
    caller: Caller,
    Path((id, preview)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let row = one(&app, &caller, &sandbox.id, &preview).await?;
    store::revoke_tokens(&app.pool, &row.id).await?;
    Ok(answer::no_content())
}

/// Makes a token for one exposed port of the sandbox: the first one unless told otherwise. It is shown once.
#[utoipa::path(post, path = "/sandboxes/{id}/preview-token", tag = "previews", params(("id" = String, Path)),
    request_body = TokenWish, responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn preview_token(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(wish): Json<TokenWish>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    let found = store::find(&app.pool, &sandbox.id, wish.port).await?;
    let row = found.ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, "this sandbox has no such exposed port")
            .with_hint("expose it first: POST /sandboxes/{id}/expose {\"port\": …}")
    })?;
    let minted = expose::mint(&app, &row, expose::TOKEN_PREFIX, wish.ttl_seconds).await?;
    let url = expose::shown(&app, &sandbox, &row).url;
    Ok(axum::response::IntoResponse::into_response(axum::Json(
        json!({
            "url": format!("{url}/?preview_token={}", minted.token),
            "token": minted.token,
            "expires_at": rfc3339(minted.expires_at),
            "scope": wish.scope.as_deref().unwrap_or("read"),
        }),
    )))
}
