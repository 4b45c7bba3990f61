//! An attacker's listeners: one with TLS, one without. Both record every byte and answer 200.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::authority::Authority;
use super::tls::PROVIDER_ADDRESS;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

/// Listeners that end when this value goes.
pub struct Attacker {
    /// Speaks TLS under the attacker's own name.
    pub tls: SocketAddr,
    /// Speaks cleartext.
    pub plain: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Attacker {
    /// Starts both listeners; the certificate is for `hosts`.
    pub async fn start(authority: &Authority, hosts: &[&str]) -> Result<Self> {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let tls = TcpListener::bind((PROVIDER_ADDRESS, 0)).await?;
        let plain = TcpListener::bind((PROVIDER_ADDRESS, 0)).await?;
        let (tls_address, plain_address) = (tls.local_addr()?, plain.local_addr()?);
        let acceptor = TlsAcceptor::from(authority.server(hosts, false)?);
        let tasks = vec![
            tokio::spawn(accept(tls, Some(acceptor), Arc::clone(&bytes))),
            tokio::spawn(accept(plain, None, Arc::clone(&bytes))),
        ];
        Ok(Self {
            tls: tls_address,
            plain: plain_address,
            bytes,
            tasks,
        })
    }

    /// Everything received so far.
    #[must_use]
    pub fn received(&self) -> Vec<u8> {
        self.bytes
            .lock()
            .expect("no writer panics while it holds the bytes")
            .clone()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, bytes: Arc<Mutex<Vec<u8>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, bytes) = (acceptor.clone(), Arc::clone(&bytes));
        tokio::spawn(async move {
            match acceptor {
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        record(stream, &bytes).await;
                    }
                }
                None => record(stream, &bytes).await,
            }
        });
    }
}

async fn record(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut head = Vec::new();
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        head.extend_from_slice(&buffer[..count]);
        bytes
            .lock()
            .expect("no writer panics while it holds the bytes")
            .extend_from_slice(&buffer[..count]);
        if head.windows(4).any(|four| four == b"\r\n\r\n") {
            let _ = stream.write_all(ANSWER).await;
            let _ = stream.shutdown().await;
        }
    }
}
