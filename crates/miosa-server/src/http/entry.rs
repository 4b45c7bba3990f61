//! The first code a request meets: its id, then by `Host` a preview or the API, with a repeated
//! `/api/v1` folded into one (the MCP server with the current SDK doubles it).
//!
//! `%2F` stays inside one segment: the path is routed as it was sent.

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use miosa_api::error::ErrorCode;
use tower::ServiceExt;

use crate::http::request_id;
use crate::{ApiError, App, preview};

/// Prefix of all API paths.
pub const API: &str = "/api/v1";

#[derive(Clone)]
struct Entry {
    app: App,
    api: Router,
}

/// Wraps the API's router.
pub fn router(app: App, api: Router) -> Router {
    Router::new().fallback(enter).with_state(Entry { app, api })
}

async fn enter(State(entry): State<Entry>, request: Request) -> Response {
    request_id::scoped(request, |request| dispatch(entry, request)).await
}

async fn dispatch(entry: Entry, mut request: Request) -> Response {
    if let Some(target) = host_of(&request).and_then(|host| preview::target_of(&entry.app, &host)) {
        return preview::serve(entry.app, target, request).await;
    }
    if let Err(error) = refuse_foreign_origin(&entry.app, request.method(), request.headers()) {
        return error.into_response();
    }
    if let Some(uri) = folded(request.uri()) {
        *request.uri_mut() = uri;
    }
    let has_body = !request.body().is_end_stream();
    match entry.api.oneshot(request).await {
        Ok(response) => closing(response, has_body),
        Err(never) => match never {},
    }
}

/// Says that the connection ends where it may: a refusal can come before the body was read, and what then
/// follows on the connection is not a request. A client that is not told would send its next one into it.
fn closing(mut response: Response, has_body: bool) -> Response {
    if has_body && response.status().is_client_error() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// Host of a request without its port, lower case.
#[must_use]
pub fn host_of(request: &Request) -> Option<String> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str))?;
    let without_port = host
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    Some(
        without_port
            .map_or(host, |(name, _)| name)
            .trim_end_matches('.')
            .to_ascii_lowercase(),
    )
}

/// A browser page of another origin may not change anything here: there is no CORS, and a request
/// that carries a foreign `Origin` is refused before it is routed.
fn refuse_foreign_origin(app: &App, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    let own = origin
        .to_str()
        .is_ok_and(|origin| origin == app.public_url());
    if own || *method == Method::GET || *method == Method::HEAD {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::Forbidden,
        "requests of a web page of another origin are not taken",
    ))
}

/// The same address with one `/api/v1` instead of several; `None` when there is nothing to fold.
fn folded(uri: &Uri) -> Option<Uri> {
    let mut path = uri.path();
    while path
        .strip_prefix(API)
        .is_some_and(|rest| rest == API || rest.starts_with("/api/v1/"))
    {
        path = &path[API.len()..];
    }
    if path.len() == uri.path().len() {
        return None;
    }
    let target = uri
        .query()
        .map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::folded;

    fn fold(text: &str) -> String {
        let uri = text.parse().expect("a path");
        folded(&uri).unwrap_or(uri).to_string()
    }

    #[test]
    fn a_repeated_prefix_is_folded_and_nothing_else_changes() {
        for (given, want) in [
            ("/api/v1/api/v1/runs?x=1", "/api/v1/runs?x=1"),
            ("/api/v1/api/v1/api/v1/runs", "/api/v1/runs"),
            ("/api/v1/runs", "/api/v1/runs"),
            (
                "/api/v1/connect/connectors/refero%2Fdesign-research",
                "/api/v1/connect/connectors/refero%2Fdesign-research",
            ),
            ("/api/v1/api/v1x/runs", "/api/v1/api/v1x/runs"),
            ("/health", "/health"),
        ] {
            assert_eq!(fold(given), want);
        }
    }
}
