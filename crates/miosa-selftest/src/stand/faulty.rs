//! A server under a bound name that must not be believed: its certificate is signed by itself, for another
//! name, or expired, or it wants one of its caller, in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;
use super::tls::{PROVIDER_ADDRESS, Server};
use super::{Log, Seen};

/// How many kinds of certificate there are.
pub const KINDS: usize = 4;

/// Starts it. What it receives after a handshake is written down as seen by `faulty`.
pub async fn start(authority: &Authority, host: &str, log: &Log) -> Result<Server> {
    let configs = [
        Authority::new()?.server(&[host], false)?,
        authority.server(&["other.example"], false)?,
        authority.expired(host)?,
        authority.mutual(host)?,
    ];
    let listener = TcpListener::bind((PROVIDER_ADDRESS, 0)).await?;
    let address = listener.local_addr()?;
    let (log, turn) = (log.clone(), AtomicUsize::new(0));
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kind = turn.fetch_add(1, Ordering::Relaxed) % KINDS;
            let acceptor = TlsAcceptor::from(Arc::clone(&configs[kind]));
            let log = log.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut head = Vec::new();
                while let Ok(1..) = stream.read_buf(&mut head).await {}
                if !head.is_empty() {
                    log.push(Seen {
                        server: "faulty",
                        head,
                        body: Vec::new(),
                        connection: 0,
                    });
                }
            });
        }
    });
    Ok(Server::new(address, task))
}
