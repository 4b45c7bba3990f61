//! HTTP/1.1 over a Unix socket: how the server speaks with the broker and with guest agents.
//!
//! One connection a request; every wait has a deadline, every collected answer a limit.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum UnixError {
    /// Nobody listens on the socket.
    #[error("nobody answers on the socket")]
    Connect(#[source] std::io::Error),
    /// The other side broke the protocol off.
    #[error("the other side broke off")]
    Protocol(#[source] hyper::Error),
    /// The deadline passed.
    #[error("no answer in time")]
    Timeout,
    /// An answer over its limit, or cut short.
    #[error("the answer is too large or was cut short")]
    Body,
}

/// Opens a connection.
pub async fn connect(socket: &Path) -> Result<UnixStream, UnixError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, UnixStream::connect(socket)).await {
        Ok(connected) => connected.map_err(UnixError::Connect),
        Err(_) => Err(UnixError::Timeout),
    }
}

/// Sends a request and returns the head of the answer with its body still to come.
pub async fn send(
    socket: &Path,
    request: Request<Body>,
    head_timeout: Duration,
) -> Result<Response<Incoming>, UnixError> {
    let stream = connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(UnixError::Protocol)?;
    tokio::spawn(connection.with_upgrades());
    match tokio::time::timeout(head_timeout, sender.send_request(request)).await {
        Ok(answer) => answer.map_err(UnixError::Protocol),
        Err(_) => Err(UnixError::Timeout),
    }
}

/// Collects a body of at most `bytes_max` within `timeout`.
pub async fn collect(
    body: Incoming,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Bytes, UnixError> {
    match tokio::time::timeout(timeout, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(_)) => Err(UnixError::Body),
        Err(_) => Err(UnixError::Timeout),
    }
}
