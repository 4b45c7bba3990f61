//! Clients in a sandbox.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::provider::text;
use crate::sandbox::Sandbox;
use crate::world::patiently;

/// A body of a client.
pub type ClientBody = BoxBody<Bytes, Infallible>;

/// An open connection.
pub enum Client {
    Http1(hyper::client::conn::http1::SendRequest<ClientBody>),
    Http2(hyper::client::conn::http2::SendRequest<ClientBody>),
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The code of a refusal, the same in header and body.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.text).unwrap();
        let code = body["error"]["code"].as_str().unwrap().to_owned();
        assert_eq!(self.headers["x-miosa-refusal"], code.as_str());
        assert_eq!(self.headers["content-type"], "application/json");
        code
    }
}

/// Trust in one authority.
pub fn roots(pem: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    Arc::new(roots)
}

/// TLS as a client does it.
pub async fn tls(
    stream: TcpStream,
    name: &str,
    roots: Arc<RootCertStore>,
    version: Version,
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let is_http2 = version == Version::HTTP_2;
    config.alpn_protocols = vec![if is_http2 {
        b"h2".to_vec()
    } else {
        b"http/1.1".to_vec()
    }];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    patiently(TlsConnector::from(Arc::new(config)).connect(name, stream)).await
}

impl Client {
    /// Looks `host` up and connects as a client of the sandbox does.
    pub async fn https(sandbox: &Sandbox, host: &str, version: Version) -> Self {
        let address = (sandbox.lookup(host), 443).into();
        Self::https_at(sandbox, address, host, version).await
    }

    /// Connects to an address with any server name.
    pub async fn https_at(
        sandbox: &Sandbox,
        address: SocketAddr,
        server_name: &str,
        version: Version,
    ) -> Self {
        let stream = sandbox.connect(address);
        let stream = tls(stream, server_name, sandbox.roots(), version)
            .await
            .unwrap();
        Self::on(stream, version).await
    }

    /// Connects to port 80.
    pub async fn http(sandbox: &Sandbox, host: &str) -> Self {
        let stream = sandbox.connect((sandbox.lookup(host), 80).into());
        Self::on(stream, Version::HTTP_11).await
    }

    /// Speaks HTTP on a stream.
    pub async fn on<S>(stream: S, version: Version) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(stream);
        if version == Version::HTTP_2 {
            let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
            let (sender, connection) = handshake.await.unwrap();
            tokio::spawn(connection);
            Self::Http2(sender)
        } else {
            let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
            tokio::spawn(connection.with_upgrades());
            Self::Http1(sender)
        }
    }

    /// Sends a request and gives the head of its answer.
    pub async fn send(
        &mut self,
        request: Request<ClientBody>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                let (mut parts, body) = request.into_parts();
                let host = parts.uri.authority().unwrap().as_str().parse().unwrap();
                parts.headers.entry("host").or_insert(host);
                parts.uri = parts
                    .uri
                    .path_and_query()
                    .unwrap()
                    .as_str()
                    .parse()
                    .unwrap();
                patiently(sender.send_request(Request::from_parts(parts, body))).await
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                patiently(sender.send_request(request)).await
            }
        }
    }

    /// Sends a request with a bearer token and reads the whole answer.
    pub async fn ask(&mut self, method: &str, url: &str, token: &str) -> Answer {
        let request = request(method, url, token).body(body("")).unwrap();
        let (head, body) = self.send(request).await.unwrap().into_parts();
        let text = patiently(text(body)).await;
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text,
        }
    }
}

/// A request with a bearer token, or without one.
pub fn request(method: &str, url: &str, token: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(url);
    if token.is_empty() {
        return request;
    }
    request.header("authorization", format!("Bearer {token}"))
}

/// A body of one piece.
pub fn body(text: &str) -> ClientBody {
    Full::new(Bytes::from(text.to_owned())).boxed()
}
