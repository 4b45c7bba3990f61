//! Shares: links that open a sandbox's application. Each is a token for its first exposed port; where none
//! is exposed yet, the template's own port is, for holders of a token alone.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use miosa_api::preview::Expose;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::clock::{now_ms, rfc3339};
use crate::http::json::{self as answer, Json, Path};
use crate::http::page;
use crate::preview::expose;
use crate::store::previews::{self as store, PreviewRow, TokenRow};
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App};

/// A share's id: so much of the token's hash, which opens nothing.
const ID_CHARS: usize = 32;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct ShareWish {
    /// Seconds it opens; an hour when absent.
    expires_in: Option<i64>,
    /// `read`, the only one there is.
    scope: Option<String>,
    /// Exposed port; the first one when absent.
    port: Option<u16>,
}

fn shown(token: &TokenRow) -> Value {
    json!({
        "share_id": id_of(&token.hash), "preview_id": token.preview_id, "scope": "read",
        "share_token_prefix": token.prefix,
        "created_at": rfc3339(token.created_at), "expires_at": rfc3339(token.expires_at),
    })
}

fn id_of(hash: &str) -> &str {
    hash.get(..ID_CHARS).unwrap_or(hash)
}

async fn preview(
    app: &App,
    sandbox: &SandboxRow,
    port: Option<u16>,
) -> Result<PreviewRow, ApiError> {
    if let Some(known) = store::find(&app.pool, &sandbox.id, port).await? {
        return Ok(known);
    }
    let wish = Expose {
        port,
        title: None,
        visibility: Some("private".to_owned()),
    };
    let made = expose::expose(app, sandbox, &wish).await?;
    store::get(&app.pool, &sandbox.tenant_id, &sandbox.id, &made.id)
        .await?
        .ok_or_else(|| ApiError::not_found("preview", &made.id))
}

/// Makes a link. It is shown once.
#[utoipa::path(post, path = "/sandboxes/{id}/shares", tag = "previews", params(("id" = String, Path)), request_body = ShareWish,
    responses((status = 201, body = Object), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(wish): Json<ShareWish>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let sandbox = access::sandbox(&app, &caller, &id).await?;
    if let Some(other) = wish.scope.as_deref().filter(|scope| *scope != "read") {
        return Err(ApiError::invalid("scope", format!("{other} is not `read`")));
    }
    let row = preview(&app, &sandbox, wish.port).await?;
    let minted = expose::mint(&app, &row, expose::SHARE_PREFIX, wish.expires_in).await?;
    let url = expose::shown(&app, &sandbox, &row).url;
    Ok(answer::created(json!({
        "share_id": id_of(&expose::hash(&minted.token)), "preview_id": row.id, "scope": "read",
        "share_url": format!("{url}/?preview_token={}", minted.token),
        "expires_at": rfc3339(minted.expires_at),
    })))
}

/// Links that open something now, without their tokens.
#[utoipa::path(get, path = "/sandboxes/{id}/shares", tag = "previews", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::sandbox(&app, &caller, &id).await?;
    let tokens = store::tokens(&app.pool, &id, expose::SHARE_PREFIX, now_ms()).await?;
    Ok(page::whole(tokens.iter().map(shown).collect()))
}

/// Ends a link at once.
#[utoipa::path(delete, path = "/sandboxes/{id}/shares/{share}", tag = "previews",
    params(("id" = String, Path), ("share" = String, Path)), responses((status = 204), (status = 404, body = ErrorBody)))]
async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Path((id, share)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    access::sandbox(&app, &caller, &id).await?;
    let tokens = store::tokens(&app.pool, &id, expose::SHARE_PREFIX, now_ms()).await?;
    let token = tokens
        .iter()
        .find(|token| id_of(&token.hash) == share)
        .ok_or_else(|| ApiError::not_found("share", &share))?;
    store::revoke_token(&app.pool, &id, &token.hash).await?;
    Ok(answer::no_content())
}
