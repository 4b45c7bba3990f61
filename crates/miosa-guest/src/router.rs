//! All routes of the agent.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Json, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{get, post};
use axum::{Router, extract::Request};
use miosa_api::error::ErrorCode;
use miosa_api::guest::{Health, PROTOCOL, Shutdown};
use miosa_api::limits::JSON_BODY_BYTES_MAX;
use serde::de::DeserializeOwned;

use crate::agent::Agent;
use crate::failure::Failure;
use crate::{exec, files, ports, process, relay};

/// The whole protocol.
pub fn routes(agent: Arc<Agent>) -> Router {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/exec", get(exec::attach))
        .route("/v1/shutdown", post(shutdown))
        .route("/v1/ports", get(ports::list))
        .route("/v1/ports/{port}/connect", get(relay::connect))
        .merge(process::routes())
        .merge(files::routes())
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(JSON_BODY_BYTES_MAX))
        .with_state(agent)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

async fn health() -> Json<Health> {
    Json(Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        now: now(),
    })
}

/// Answers first; the main task then ends everything.
async fn shutdown(
    State(agent): State<Arc<Agent>>,
    body: Result<Json<Shutdown>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    let Json(Shutdown { grace_ms }) = body?;
    // A second request changes nothing.
    let _ = agent.shutdown.try_send(Duration::from_millis(grace_ms));
    Ok(StatusCode::NO_CONTENT)
}

async fn unknown(request: Request) -> Failure {
    let message = format!(
        "{} {}: no such route",
        request.method(),
        request.uri().path()
    );
    Failure::new(ErrorCode::NotFound, message)
}

/// Parameters of the query, refused in the shape of [`Failure`].
#[derive(Debug)]
pub struct Parameters<T>(pub Query<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Parameters<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        Ok(Self(query?))
    }
}
