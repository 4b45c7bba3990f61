//! `GET /v1/ports/{port}/connect`: raw bytes to and from a port of the sandbox.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use miosa_api::error::ErrorCode;
use miosa_api::guest::RAW_UPGRADE;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::failure::Failure;

/// How long a program may take to accept where its backlog is full.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Bytes on their way, for each direction.
const BUFFER_BYTES: usize = 64 * 1024;

/// Dials first, so that a refusal is an answer, then upgrades and relays.
pub async fn connect(
    port: Result<Path<u16>, PathRejection>,
    request: Request,
) -> Result<Response, Failure> {
    let Path(port) = port?;
    let asked = request.headers().get(UPGRADE);
    if asked.is_none_or(|upgrade| upgrade.as_bytes() != RAW_UPGRADE.as_bytes()) {
        return Err(Failure::bad_request(format!(
            "needs `Upgrade: {RAW_UPGRADE}`"
        )));
    }
    let stream = dial(port).await.map_err(|error| {
        let message = format!("nothing accepts connections on port {port}: {error}");
        Failure::new(ErrorCode::PreviewNotListening, message)
    })?;
    tokio::spawn(relay(hyper::upgrade::on(request), stream));
    let headers = [(CONNECTION, "upgrade"), (UPGRADE, RAW_UPGRADE)];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers).into_response())
}

/// IPv4 first; a program may listen on IPv6 alone.
async fn dial(port: u16) -> io::Result<TcpStream> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let stream = match timeout(CONNECT_MAX, TcpStream::connect(v4)).await? {
        Ok(stream) => stream,
        Err(refused) => timeout(CONNECT_MAX, TcpStream::connect(v6))
            .await?
            .map_err(|_| refused)?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Copies until both sides have ended; the end of one is passed on to the other.
async fn relay(upgrade: OnUpgrade, mut stream: TcpStream) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut upgraded = TokioIo::new(upgraded);
    // A broken connection ends both; there is nobody to tell.
    let _ =
        copy_bidirectional_with_sizes(&mut upgraded, &mut stream, BUFFER_BYTES, BUFFER_BYTES).await;
}
