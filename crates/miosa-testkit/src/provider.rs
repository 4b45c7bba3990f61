//! A provider's front: TLS under its real name, a bearer check, then the real server behind it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use crate::authority::Authority;
use crate::tls::{self, Server};

/// One request as the provider saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path with its query.
    pub target: String,
    /// All headers.
    pub headers: HeaderMap,
}

impl Seen {
    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Requests a local server has seen, in order.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    /// Adds one.
    pub fn push(&self, request: &Request) {
        let seen = Seen {
            method: request.method().to_string(),
            target: request
                .uri()
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            headers: request.headers().clone(),
        };
        self.0
            .lock()
            .expect("no writer panics while it holds the log")
            .push(seen);
    }

    /// All so far.
    #[must_use]
    pub fn all(&self) -> Vec<Seen> {
        self.0
            .lock()
            .expect("no writer panics while it holds the log")
            .clone()
    }
}

/// The front of one provider.
pub struct Provider {
    /// What it saw.
    pub log: Log,
    /// Its server.
    pub server: Server,
}

#[derive(Clone)]
struct Front {
    expected: String,
    behind: SocketAddr,
    log: Log,
    client: reqwest::Client,
}

/// Starts a front for `host` that wants `Authorization: Bearer <token>` on every request and passes
/// what has it to `http://behind`.
pub async fn start(
    authority: &Authority,
    host: &str,
    token: &str,
    behind: SocketAddr,
) -> Result<Provider> {
    let log = Log::default();
    let front = Front {
        expected: format!("Bearer {token}"),
        behind,
        log: log.clone(),
        client: reqwest::Client::builder().no_proxy().build()?,
    };
    let router = Router::new().fallback(pass).with_state(front);
    let server = tls::serve(router, authority.server(&[host], true)?).await?;
    Ok(Provider { log, server })
}

async fn pass(State(front): State<Front>, request: Request) -> Response {
    front.log.push(&request);
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if given != Some(front.expected.as_str()) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (
            StatusCode::UNAUTHORIZED,
            challenge,
            "a valid bearer token is needed",
        )
            .into_response();
    }
    forward(&front, request).await.unwrap_or_else(|error| {
        (
            StatusCode::BAD_GATEWAY,
            format!("the server behind the front: {error}"),
        )
            .into_response()
    })
}

async fn forward(front: &Front, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut headers = parts.headers;
    for name in [
        header::HOST,
        header::AUTHORIZATION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ] {
        headers.remove(name);
    }
    let body = axum::body::to_bytes(body, 16 * 1024 * 1024).await?;
    let answer = front
        .client
        .request(parts.method, format!("http://{}{target}", front.behind))
        .headers(headers)
        .body(body)
        .send()
        .await?;
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != header::TRANSFER_ENCODING
            && name != header::CONNECTION
            && name != header::CONTENT_LENGTH
        {
            response = response.header(name, value);
        }
    }
    Ok(response.body(Body::from_stream(answer.bytes_stream()))?)
}
