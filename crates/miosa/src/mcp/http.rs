//! Streamable HTTP: on loopback unless a name was allowed, and with the caller's own key in every request.
//!
//! There are no sessions: a request is judged by what it carries, and there is nothing to steal or to fix.
//! The process's own key is used for nothing here. `Host` must be a name that was allowed (so that a web page
//! cannot reach it by a name of its own), and no page's `Origin` is let in unless it was named.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use miosa_api::limits::JSON_BODY_BYTES_MAX;
use miosa_client::Client;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::server::{Caller, Server};
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};

/// Path of the one endpoint.
const PATH: &str = "/mcp";
/// Names of this machine that are always allowed.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Where it listens, and for whom.
pub struct Listen {
    /// Address and port.
    pub address: SocketAddr,
    /// Names beside the loopback ones.
    pub hosts: Vec<String>,
    /// Origins of web pages.
    pub origins: Vec<String>,
}

/// Serves until the process is told to end.
pub async fn serve(listen: Listen, client: &Client, printer: &Printer) -> Result<ExitCode> {
    if !listen.address.ip().is_loopback() && listen.hosts.is_empty() {
        return Err(CliError::usage(format!(
            "{} can be reached from other machines, and nobody is allowed to",
            listen.address
        ))
        .why("keys would travel in the clear, and no name is known under which it may be called")
        .hint("listen on 127.0.0.1, or put a TLS proxy before it and name it with --allow-host"));
    }
    let listener = TcpListener::bind(listen.address)
        .await
        .map_err(|error| CliError::file(&error).hint("choose another port with --http"))?;
    let address = listener
        .local_addr()
        .map_err(|error| CliError::file(&error))?;
    let url = format!("http://{address}{PATH}");
    let ending = CancellationToken::new();
    let router = router(listen, client, ending.clone());
    printer.value(
        &json!({"url": url}),
        View::Line(format!(
            "MCP at {url}, with `Authorization: Bearer <API key>`"
        )),
    );
    axum::serve(listener, router)
        .with_graceful_shutdown(told_to_end(ending))
        .await
        .map_err(|error| CliError::file(&error))?;
    Ok(ExitCode::SUCCESS)
}

async fn told_to_end(ending: CancellationToken) {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
    ending.cancel();
}

fn router(listen: Listen, client: &Client, ending: CancellationToken) -> Router {
    let hosts = LOOPBACK.map(str::to_owned).into_iter().chain(listen.hosts);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_allowed_origins(listen.origins)
        .enforce_origin_validation()
        .with_max_request_body_bytes(JSON_BODY_BYTES_MAX)
        .with_cancellation_token(ending);
    let server = Server::on_behalf_of_each_caller();
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Router::new()
        .route_service(PATH, service)
        .layer(middleware::from_fn_with_state(client.clone(), with_caller))
}

/// Lets a request in whose key the API knows, and puts the caller beside it.
async fn with_caller(State(client): State<Client>, mut request: Request, next: Next) -> Response {
    let Some(key) = bearer(request.headers()) else {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "send your miosa API key: `Authorization: Bearer msk_…`",
        );
    };
    let Ok(client) = client.with_key(key) else {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "that is no API key",
        );
    };
    match client.tenant().await {
        Ok(_) => {}
        Err(error) => match error.status() {
            // A key that may not look at its tenant is known all the same; each tool asks anew.
            Some(403) => {}
            Some(401) => {
                return refuse(
                    StatusCode::UNAUTHORIZED,
                    "UNAUTHORIZED",
                    "the API does not know that key",
                );
            }
            _ => {
                return refuse(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "API_UNAVAILABLE",
                    "the miosa server does not answer, so nobody's key can be checked",
                );
            }
        },
    }
    request.headers_mut().remove(header::AUTHORIZATION);
    request.extensions_mut().insert(Caller(client));
    next.run(request).await
}

/// The one key of a request; two are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (all.next()?, all.next()) else {
        return None;
    };
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = axum::Json(json!({"error": {"code": code, "message": message}}));
    let mut response = (status, body).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = header::HeaderValue::from_static("Bearer realm=\"miosa\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
