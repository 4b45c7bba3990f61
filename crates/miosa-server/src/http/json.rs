//! Bodies in and out: a JSON extractor whose refusals name the field, and the `{data}` envelopes.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use miosa_api::error::ErrorCode;
use miosa_api::limits::JSON_BODY_BYTES_MAX;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// A JSON body. An empty body counts as `{}`: clients post without one where all fields are optional.
#[derive(Debug, Clone)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read_body(request, JSON_BODY_BYTES_MAX).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a whole body of at most `bytes_max`.
pub async fn read_body(request: Request, bytes_max: usize) -> Result<Bytes, ApiError> {
    let body = Limited::new(request.into_body(), bytes_max);
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(ApiError::new(
            ErrorCode::TooLarge,
            format!("the body is larger than {bytes_max} bytes"),
        )),
        Err(error) => {
            Err(ApiError::new(ErrorCode::BadRequest, "the body ended early").with_source(error))
        }
    }
}

/// Reads JSON text; the refusal names the field and says where it breaks off.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        bytes
    };
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let refusal = ApiError::new(ErrorCode::BadRequest, format!("the JSON body: {error}"));
        if field == "." {
            return refusal;
        }
        refusal.with_details(serde_json::json!({ "field": field }))
    })?;
    json.end()
        .map_err(|error| ApiError::new(ErrorCode::BadRequest, format!("the JSON body: {error}")))?;
    Ok(value)
}

/// Query parameters; the refusal is an [`ApiError`].
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        axum::extract::Query::try_from_uri(&parts.uri)
            .map(|query| Self(query.0))
            .map_err(|error| {
                ApiError::new(
                    ErrorCode::BadRequest,
                    format!("the query: {}", error.body_text()),
                )
            })
    }
}

/// Path parameters, percent-decoded; the refusal is an [`ApiError`].
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|path| Self(path.0))
            .map_err(|error| {
                ApiError::new(
                    ErrorCode::BadRequest,
                    format!("the path: {}", error.body_text()),
                )
            })
    }
}

/// 200 with `{"data": …}`.
pub fn data<T: Serialize>(value: T) -> Response {
    axum::Json(miosa_api::Data::new(value)).into_response()
}

/// 201 with `{"data": …}`.
pub fn created<T: Serialize>(value: T) -> Response {
    (StatusCode::CREATED, axum::Json(miosa_api::Data::new(value))).into_response()
}

/// 204.
#[must_use]
pub fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A header as text.
#[must_use]
pub fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
