//! `Idempotency-Key`: the same request again gets the same answer for 24 hours.
//!
//! For POST with a JSON body. Another body under the same key is a mismatch; a first request still
//! under way is a conflict that may be retried. Server failures and errors that may pass are not
//! remembered, and streams and uploads take no part.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::BodyExt;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::limits::{IDEMPOTENCY_TTL, JSON_BODY_BYTES_MAX};
use sha2::{Digest, Sha256};

use crate::auth::Caller;
use crate::clock::now_ms;
use crate::http::json::{header_text, read_body};
use crate::store::idempotency::{self, Remembered};
use crate::{ApiError, App};

const HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 255;

/// Middleware behind authentication.
pub async fn once(
    State(app): State<App>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    let key = header_text(request.headers(), HEADER).map(ToOwned::to_owned);
    match key {
        Some(key) if *request.method() == Method::POST && takes_part(request.uri().path()) => {
            answer_once(&app, &caller, &key, request, next)
                .await
                .unwrap_or_else(IntoResponse::into_response)
        }
        _ => next.run(request).await,
    }
}

/// Uploads are not held in memory, streams have no end to remember, and a revealed secret, a
/// new API key and a preview's token are written down nowhere.
fn takes_part(path: &str) -> bool {
    !(path.contains("/fs/")
        || path.contains("/files")
        || path.ends_with("/stream")
        || path.contains("/connect/token/")
        || path.ends_with("/api-keys")
        || path.ends_with("/rotate")
        || path.ends_with("/shares")
        || path.ends_with("/preview-token")
        || path.ends_with("/share"))
}

async fn answer_once(
    app: &App,
    caller: &Caller,
    key: &str,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(ApiError::new(
            ErrorCode::BadRequest,
            "Idempotency-Key: 1 to 255 characters",
        ));
    }
    let (parts, body) = request.into_parts();
    let bytes = read_body(Request::new(body), JSON_BODY_BYTES_MAX).await?;
    let tenant_id = caller.tenant_id.as_str();
    let target = parts.uri.path_and_query().map_or("", |p| p.as_str());
    let hash = hex::encode(
        // SECURITY: a key without the scope must not get what another key was answered.
        Sha256::new()
            .chain_update(&caller.key_id)
            .chain_update([0])
            .chain_update(target)
            .chain_update([0])
            .chain_update(&bytes)
            .finalize(),
    );
    if !claim(app, tenant_id, key, &hash).await? {
        return remembered(app, tenant_id, key, &hash).await;
    }
    // The work goes on when the caller goes away, so that a key is never left half used.
    let (app, tenant_id, key) = (app.clone(), tenant_id.to_owned(), key.to_owned());
    let request = Request::from_parts(parts, Body::from(bytes));
    let id = super::request_id::current().unwrap_or_default();
    let work = async move {
        let response = next.run(request).await;
        remember(&app, &tenant_id, &key, response).await
    };
    tokio::spawn(super::request_id::under(id, work))
        .await
        .map_err(ApiError::internal)?
}

async fn claim(app: &App, tenant_id: &str, key: &str, hash: &str) -> Result<bool, ApiError> {
    let ttl_ms = i64::try_from(IDEMPOTENCY_TTL.as_millis()).unwrap_or(i64::MAX);
    let known = idempotency::get(&app.pool, tenant_id, key).await?;
    if known.is_some_and(|row| row.created_at < now_ms() - ttl_ms) {
        idempotency::release(&app.pool, tenant_id, key).await?;
    }
    Ok(idempotency::claim(&app.pool, tenant_id, key, hash).await?)
}

async fn remembered(
    app: &App,
    tenant_id: &str,
    key: &str,
    hash: &str,
) -> Result<Response, ApiError> {
    let in_progress = || {
        ApiError::new(
            ErrorCode::IdempotencyInProgress,
            "the first request with this Idempotency-Key has not ended",
        )
    };
    let Some(row) = idempotency::get(&app.pool, tenant_id, key).await? else {
        return Err(in_progress());
    };
    if row.request_hash != hash {
        return Err(ApiError::new(
            ErrorCode::IdempotencyPayloadMismatch,
            "this Idempotency-Key was used with another request",
        ));
    }
    let Remembered {
        status: Some(status),
        content_type,
        body,
        ..
    } = row
    else {
        return Err(in_progress());
    };
    let status = u16::try_from(status)
        .ok()
        .and_then(|s| StatusCode::from_u16(s).ok())
        .unwrap_or(StatusCode::OK);
    let mut response = (status, body.unwrap_or_default()).into_response();
    let content_type = content_type.and_then(|t| HeaderValue::from_str(&t).ok());
    if let Some(value) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    response
        .headers_mut()
        .insert("idempotency-replayed", HeaderValue::from_static("true"));
    Ok(response)
}

async fn remember(
    app: &App,
    tenant_id: &str,
    key: &str,
    response: Response,
) -> Result<Response, ApiError> {
    let content_type = header_text(response.headers(), "content-type")
        .unwrap_or("")
        .to_owned();
    let keep =
        !response.status().is_server_error() && response.status() != StatusCode::TOO_MANY_REQUESTS;
    if !keep || content_type.starts_with("text/event-stream") {
        idempotency::release(&app.pool, tenant_id, key).await?;
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.map_err(ApiError::internal)?.to_bytes();
    if parts.status.is_client_error() && may_succeed_later(&bytes) {
        idempotency::release(&app.pool, tenant_id, key).await?;
        return Ok(Response::from_parts(parts, Body::from(bytes)));
    }
    let text = String::from_utf8_lossy(&bytes);
    idempotency::answer(
        &app.pool,
        tenant_id,
        key,
        parts.status.as_u16(),
        &content_type,
        &text,
    )
    .await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// Whether an error says that the same request may succeed later (a template that is being built).
fn may_succeed_later(body: &[u8]) -> bool {
    serde_json::from_slice::<ErrorBody>(body).is_ok_and(|body| body.error.retryable)
}

#[cfg(test)]
mod tests {
    use super::may_succeed_later;

    #[test]
    fn only_an_error_that_says_so_is_forgotten() {
        let error = |retryable| {
            format!(r#"{{"error":{{"code":"X","message":"m","retryable":{retryable}}}}}"#)
        };
        assert!(may_succeed_later(error(true).as_bytes()));
        assert!(!may_succeed_later(error(false).as_bytes()));
        assert!(!may_succeed_later(b"no JSON"));
    }
}
