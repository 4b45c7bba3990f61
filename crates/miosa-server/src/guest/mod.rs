//! The guest agent of one sandbox as the server sees it: always dialled, never trusted.
//!
//! Every answer is bounded in size and time; a path in an answer is shown and never followed.

mod exec;
mod files;
mod processes;

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use hyper::body::Incoming;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::guest::{Health, Port, RAW_UPGRADE, Shutdown};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use exec::{Attached, Chunk, Finished};

use crate::ApiError;
use crate::unix::{self, UnixError};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The guest agent behind one socket.
#[derive(Debug, Clone)]
pub struct Guest {
    socket: PathBuf,
}

impl Guest {
    /// The agent that serves on this socket.
    #[must_use]
    pub const fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Whether it answers.
    pub async fn health(&self) -> Result<Health, ApiError> {
        self.json(Method::GET, "/v1/health", None::<&()>).await
    }

    /// Listening TCP sockets inside.
    pub async fn ports(&self) -> Result<Vec<Port>, ApiError> {
        self.json(Method::GET, "/v1/ports", None::<&()>).await
    }

    /// Asks everything inside to end.
    pub async fn shutdown(&self, grace_ms: u64) -> Result<(), ApiError> {
        let body = serde_json::to_vec(&Shutdown { grace_ms }).map_err(ApiError::internal)?;
        self.send(Method::POST, "/v1/shutdown", Body::from(body))
            .await
            .map(drop)
    }

    /// A byte stream to a port inside. `PREVIEW_NOT_LISTENING` when nothing listens there.
    pub async fn connect_port(&self, port: u16) -> Result<hyper::upgrade::Upgraded, ApiError> {
        let request = Request::get(format!("/v1/ports/{port}/connect"))
            .header(header::HOST, "guest")
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, RAW_UPGRADE)
            .body(Body::empty())
            .map_err(ApiError::internal)?;
        let answer = unix::send(&self.socket, request, ANSWER_TIMEOUT)
            .await
            .map_err(unavailable)?;
        if answer.status() != http::StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(answer).await);
        }
        hyper::upgrade::on(answer)
            .await
            .map_err(|error| unavailable(UnixError::Protocol(error)))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ApiError> {
        let body = match body {
            Some(value) => Body::from(serde_json::to_vec(value).map_err(ApiError::internal)?),
            None => Body::empty(),
        };
        let answer = self.send(method, path, body).await?;
        let bytes = self.collect(answer).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| agent_failed(format!("answer of {path}: {error}")))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>, ApiError> {
        self.send_within(method, path, body, ANSWER_TIMEOUT).await
    }

    async fn send_within(
        &self,
        method: Method,
        path: &str,
        body: Body,
        head_timeout: Duration,
    ) -> Result<Response<Incoming>, ApiError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "guest")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(ApiError::internal)?;
        let answer = unix::send(&self.socket, request, head_timeout)
            .await
            .map_err(unavailable)?;
        if answer.status().is_success() {
            Ok(answer)
        } else {
            Err(refusal(answer).await)
        }
    }

    async fn collect(&self, answer: Response<Incoming>) -> Result<Bytes, ApiError> {
        unix::collect(answer.into_body(), ANSWER_BYTES_MAX, ANSWER_TIMEOUT)
            .await
            .map_err(unavailable)
    }
}

/// What the agent refused with, if it is one of the codes it may use; its words are cut.
async fn refusal(answer: Response<Incoming>) -> ApiError {
    let status = answer.status();
    let Ok(bytes) = unix::collect(answer.into_body(), 64 * 1024, ANSWER_TIMEOUT).await else {
        return agent_failed(format!("status {status}"));
    };
    let Ok(body) = serde_json::from_slice::<ErrorBody>(&bytes) else {
        return agent_failed(format!("status {status}"));
    };
    let allowed = [
        ErrorCode::InvalidPath,
        ErrorCode::FileNotFound,
        ErrorCode::DiskFull,
        ErrorCode::BadRequest,
        ErrorCode::NotFound,
        ErrorCode::PreviewNotListening,
        ErrorCode::TooLarge,
    ];
    let message: String = body.error.message.chars().take(500).collect();
    allowed
        .into_iter()
        .find(|code| code.as_str() == body.error.code)
        .map_or_else(
            || agent_failed(message.clone()),
            |code| ApiError::new(code, message.clone()),
        )
}

fn unavailable(error: UnixError) -> ApiError {
    ApiError::new(
        ErrorCode::AgentUnavailable,
        "the sandbox's guest agent does not answer",
    )
    .with_source(error)
}

fn agent_failed(cause: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        ErrorCode::AgentUnavailable,
        "the sandbox's guest agent failed",
    )
    .with_source(cause)
}

/// A query value, percent-encoded.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
