//! Serves an axum router over TLS on an address of this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Loopback address of the local providers: the one private address the broker is told to allow.
pub const PROVIDER_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

/// A server that ends when this value goes.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// One that listens at `address` until its task is ended.
    #[must_use]
    pub const fn new(address: SocketAddr, task: JoinHandle<()>) -> Self {
        Self { address, task }
    }
}

/// Serves `router` over TLS on a free port of [`PROVIDER_ADDRESS`].
pub async fn serve(router: Router, config: Arc<ServerConfig>) -> Result<Server> {
    accept(config, move |stream| {
        let service = TowerToHyperService::new(router.clone());
        async move {
            // A caller that breaks off is not an error of the server's.
            Builder::new(TokioExecutor::new())
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await
                .ok();
        }
    })
    .await
}

/// Calls `serve` with every connection whose TLS handshake went well, on a free port of
/// [`PROVIDER_ADDRESS`].
pub async fn accept<S, F>(config: Arc<ServerConfig>, serve: S) -> Result<Server>
where
    S: Fn(TlsStream<TcpStream>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind((PROVIDER_ADDRESS, 0))
        .await
        .context("no port for a local server")?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(config);
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            tokio::spawn(async move {
                // It only makes answers quicker.
                stream.set_nodelay(true).ok();
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    });
    Ok(Server { address, task })
}
