//! Serves a preview: finds the sandbox, checks the visitor, relays.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderMap, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, StatusCode};
use miosa_api::error::ErrorCode;
use miosa_api::sandbox::SandboxState;

use super::expose::hash;
use super::headers::{self, TOKEN_COOKIE, TOKEN_HEADER, Visitor};
use super::{Target, page, relay};
use crate::clock::now_ms;
use crate::store::previews::{self as store, PreviewRow};
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App};

/// Relays a request to the sandbox's port.
pub async fn serve(app: App, target: Target, request: Request) -> Response {
    let wants_html = page::wants_html(request.headers());
    match answer(&app, &target, request).await {
        Ok(response) => response,
        Err(error) => page::refusal(error, wants_html),
    }
}

async fn answer(app: &App, target: &Target, mut request: Request) -> Result<Response, ApiError> {
    let host = one_host(&request)?;
    let (sandbox, preview) = find(app, target).await?;
    let fallback = PathAndQuery::from_static("/");
    let (path, query_token) =
        headers::split_query(request.uri().path_and_query().unwrap_or(&fallback));
    let scheme = if app.public_url().starts_with("https:") {
        "https"
    } else {
        "http"
    };
    if preview.visibility != "public" {
        let token = query_token
            .as_deref()
            .or_else(|| header_token(request.headers()));
        let token = token.or_else(|| {
            let is_own = headers::is_of_own_page(request.headers(), scheme, &host);
            headers::cookie_token(request.headers()).filter(|_| is_own)
        });
        let ends_at = admit(app, &preview, token).await?;
        if let Some(token) = query_token.as_deref().filter(|_| is_page_load(&request)) {
            let cookie = cookie(scheme, token, ends_at);
            return without_token(scheme, &host, &path, Some(&cookie));
        }
    } else if query_token.is_some() && is_page_load(&request) {
        // It may open other ports: the page of this one must not find it in its own address.
        return without_token(scheme, &host, &path, None);
    }
    *request.uri_mut() = path
        .parse()
        .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the path cannot be read"))?;
    let address = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let visitor = Visitor {
        host: &host,
        scheme,
        address,
    };
    relay::relay(app, &sandbox, &preview, visitor, request).await
}

/// The one `Host` of a request; two, or one unlike the address asked for, could be read in two ways.
fn one_host(request: &Request) -> Result<HeaderValue, ApiError> {
    let refuse = || ApiError::new(ErrorCode::BadRequest, "the request needs exactly one Host");
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    match (hosts.next(), hosts.next(), authority) {
        (Some(host), None, None) => Ok(host.clone()),
        (Some(host), None, Some(authority))
            if host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) =>
        {
            Ok(host.clone())
        }
        (None, None, Some(authority)) => HeaderValue::from_str(authority).map_err(|_| refuse()),
        _ => Err(refuse()),
    }
}

async fn find(app: &App, target: &Target) -> Result<(SandboxRow, PreviewRow), ApiError> {
    let unknown = || ApiError::new(ErrorCode::NotFound, "there is no preview at this address");
    let sandbox = sandboxes::by_slug(&app.pool, &target.slug)
        .await?
        .ok_or_else(unknown)?;
    let preview = store::find(&app.pool, &sandbox.id, target.port)
        .await?
        .ok_or_else(unknown)?;
    if sandbox.state() != SandboxState::Running {
        return Err(ApiError::new(
            ErrorCode::SandboxNotRunning,
            format!("its sandbox is {}", sandbox.state),
        ));
    }
    Ok((sandbox, preview))
}

fn header_token(map: &HeaderMap) -> Option<&str> {
    map.get(TOKEN_HEADER)?.to_str().ok()
}

/// When the visitor's token ends; refused without one for this sandbox and port.
async fn admit(app: &App, preview: &PreviewRow, token: Option<&str>) -> Result<i64, ApiError> {
    let refuse = |message: &str| {
        ApiError::new(ErrorCode::PreviewForbidden, message)
            .with_hint("its owner can share it: POST /sandboxes/{id}/previews/{preview}/share, or expose it as public")
    };
    let token = token.ok_or_else(|| refuse("this preview is private"))?;
    let ends_at = store::token_end(&app.pool, &hash(token), preview, now_ms()).await?;
    ends_at.ok_or_else(|| refuse("this token has ended or is for another preview"))
}

/// Whether a browser may be sent on: a plain GET, not an upgrade.
fn is_page_load(request: &Request) -> bool {
    *request.method() == Method::GET && !request.headers().contains_key(header::UPGRADE)
}

/// The token as a cookie of this host alone.
fn cookie(scheme: &str, token: &str, ends_at: i64) -> String {
    let seconds = (ends_at - now_ms()).max(0) / 1000;
    let secure = if scheme == "https" { "; Secure" } else { "" };
    format!("{TOKEN_COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// Leads to the same page without the token in the address.
fn without_token(
    scheme: &str,
    host: &HeaderValue,
    path: &str,
    cookie: Option<&str>,
) -> Result<Response, ApiError> {
    let host = host
        .to_str()
        .map_err(|_| ApiError::new(ErrorCode::BadRequest, "the Host cannot be read"))?;
    let mut response = Response::builder()
        .status(StatusCode::SEE_OTHER)
        // With scheme and host: a path such as `//evil.example` alone would lead away.
        .header(header::LOCATION, format!("{scheme}://{host}{path}"))
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header("x-robots-tag", "noindex");
    if let Some(cookie) = cookie {
        response = response.header(header::SET_COOKIE, cookie);
    }
    response
        .body(Body::empty())
        .map(IntoResponse::into_response)
        .map_err(ApiError::internal)
}
