//! Pooled HTTP connections, one pool a sandbox and policy: a new policy judges every address anew.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use miosa_api::limits::UPSTREAM_IDLE_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

use super::{DialError, TlsWire, Upstream};
use crate::body::RequestBody;
use crate::policy::{CompiledPolicy, Destination, Host};

/// Unused connections kept per provider.
pub const POOL_IDLE_PER_HOST_MAX: usize = 32;
/// Flow control windows: enough for a fast provider, bounded for a slow sandbox.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Connections of one sandbox to providers, all dialled under one policy.
pub type Client = legacy::Client<Connector, RequestBody>;

/// Dials for the pool.
#[derive(Clone)]
pub struct Connector {
    upstream: Arc<Upstream>,
    policy: Arc<CompiledPolicy>,
}

/// A connection, with TLS or without.
pub enum Wire {
    /// To an `http` URL.
    Plain(TcpStream),
    /// To an `https` URL.
    Tls(Box<TlsWire>),
}

/// `idle_max` unused connections are kept per provider; with none, each request gets a fresh one.
pub fn build(connector: Connector, idle_max: usize) -> Client {
    legacy::Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(UPSTREAM_IDLE_MAX)
        .pool_max_idle_per_host(idle_max)
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .build(connector)
}

impl Connector {
    /// A connector over `upstream` to addresses that `policy` does not refuse.
    pub const fn new(upstream: Arc<Upstream>, policy: Arc<CompiledPolicy>) -> Self {
        Self { upstream, policy }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Wire>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (upstream, policy) = (Arc::clone(&self.upstream), Arc::clone(&self.policy));
        Box::pin(async move {
            let tls = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
            let host = Host::parse(uri.host().unwrap_or_default()).ok_or(DialError::NotFound)?;
            let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
            let to = Destination { host, port, tls };
            let wire = if tls {
                Wire::Tls(Box::new(upstream.dial_tls(&to, &policy).await?))
            } else {
                Wire::Plain(upstream.dial(&to, &policy).await?)
            };
            Ok(TokioIo::new(wire))
        })
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(wire) if wire.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            _ => Connected::new(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_read(cx, buf),
            Self::Tls(wire) => Pin::new(wire.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write(cx, buf),
            Self::Tls(wire) => Pin::new(wire.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_write_vectored(cx, bufs),
            Self::Tls(wire) => Pin::new(wire.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(wire) => wire.is_write_vectored(),
            Self::Tls(wire) => wire.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_flush(cx),
            Self::Tls(wire) => Pin::new(wire.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(wire) => Pin::new(wire).poll_shutdown(cx),
            Self::Tls(wire) => Pin::new(wire.as_mut()).poll_shutdown(cx),
        }
    }
}
