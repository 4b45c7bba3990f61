//! A provider: a TLS server with its own authority that remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State, WebSocketUpgrade};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// Pieces of uploads that are kept are shorter.
const PIECE_BYTES_MAX: usize = 16;

/// An authority of providers.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// TLS in the name of `host`.
    pub fn server(&self, host: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

/// What one request was.
#[derive(Debug, Clone)]
pub struct Seen {
    pub target: String,
    pub version: http::Version,
    pub headers: HeaderMap,
}

/// A running provider.
#[derive(Clone)]
pub struct Provider {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: Mutex<usize>,
    end_of_events: Notify,
    kept: Mutex<String>,
    pieces: Mutex<Vec<Bytes>>,
}

impl Provider {
    /// Serves `host` with TLS.
    pub async fn start(authority: &Authority, host: &str) -> Self {
        Self::start_at("127.0.0.77:0", Some(authority.server(host))).await
    }

    /// Serves without TLS.
    pub async fn start_plain() -> Self {
        Self::start_plain_at("127.0.0.77:0").await
    }

    /// Serves without TLS at an address.
    pub async fn start_plain_at(address: &str) -> Self {
        Self::start_at(address, None).await
    }

    async fn start_at(address: &str, tls: Option<Arc<ServerConfig>>) -> Self {
        let shared = Arc::new(Shared::default());
        let listener = TcpListener::bind(address).await.unwrap();
        let provider = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::clone(&shared),
        };
        let routes = routes(&shared);
        tokio::spawn(async move {
            let acceptor = tls.map(TlsAcceptor::from);
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().unwrap() += 1;
                let (acceptor, routes) = (acceptor.clone(), routes.clone());
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else {
                        return serve(stream, routes).await;
                    };
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, routes).await;
                    }
                });
            }
        });
        provider
    }

    /// Requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        *self.shared.connections.lock().unwrap()
    }

    /// Pieces of uploads so far.
    pub fn pieces(&self) -> Vec<Bytes> {
        self.shared.pieces.lock().unwrap().clone()
    }

    /// Ends the event stream.
    pub fn end_events(&self) {
        self.shared.end_of_events.notify_one();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, routes: Router) {
    let server = auto::Builder::new(TokioExecutor::new());
    let service = TowerToHyperService::new(routes);
    // The caller may leave when it likes.
    server
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .await
        .ok();
}

fn routes(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/echo", any(echo))
        .route("/v1/gzip", any(gzip))
        .route("/v1/events", get(events))
        .route("/v1/trailers", post(trailers))
        .route("/v1/received-trailers", post(received_trailers))
        .route("/v1/upload", post(upload))
        .route("/v1/keep", post(keep))
        .route("/kept", get(kept))
        .route("/v1/kept", get(kept))
        .route("/v1/ws", any(websocket))
        .fallback(|| async { "hello" })
        .layer(from_fn_with_state(Arc::clone(shared), remember))
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(shared))
}

async fn remember(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let seen = Seen {
        target: request
            .uri()
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        version: request.version(),
        headers: request.headers().clone(),
    };
    shared.seen.lock().unwrap().push(seen);
    next.run(request).await
}

/// Sends the credential back, in a header and in the body.
async fn echo(headers: HeaderMap) -> Response {
    let sent = headers.get("authorization").cloned();
    let sent = sent.unwrap_or(HeaderValue::from_static("none"));
    let text = format!("you sent: {}", sent.to_str().unwrap());
    let elsewhere = HeaderValue::from_static("h3=\":443\"");
    ([("x-echo", sent), ("alt-svc", elsewhere)], text).into_response()
}

async fn gzip() -> Response {
    ([("content-encoding", "gzip")], "not really").into_response()
}

/// One event at once, the next when the test says so.
async fn events(State(shared): State<Arc<Shared>>) -> Response {
    let first = futures_util::stream::once(async { Ok::<_, Infallible>("data: first\n\n") });
    let last = futures_util::stream::once(async move {
        shared.end_of_events.notified().await;
        Ok("data: last\n\n")
    });
    let body = Body::from_stream(first.chain(last));
    ([("content-type", "text/event-stream")], body).into_response()
}

async fn trailers(body: Bytes) -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [
        Ok::<_, Infallible>(Frame::data(body)),
        Ok(Frame::trailers(trailers)),
    ];
    Response::new(Body::new(StreamBody::new(futures_util::stream::iter(
        frames,
    ))))
}

/// Says how much was sent and whether trailers were.
async fn received_trailers(body: Body) -> String {
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().map_or("none", |_| "trailers");
    let trailers = trailers.to_owned();
    format!("{} and {trailers}", collected.to_bytes().len())
}

/// Keeps the credential, for whoever asks for it.
async fn keep(State(shared): State<Arc<Shared>>, headers: HeaderMap) {
    let sent = headers["authorization"].to_str().unwrap();
    sent.clone_into(&mut shared.kept.lock().unwrap());
}

async fn kept(State(shared): State<Arc<Shared>>) -> String {
    shared.kept.lock().unwrap().clone()
}

async fn upload(State(shared): State<Arc<Shared>>, body: Body) -> String {
    let mut body = body.into_data_stream();
    let mut bytes = 0;
    while let Some(Ok(data)) = body.next().await {
        bytes += data.len();
        if data.len() < PIECE_BYTES_MAX {
            shared.pieces.lock().unwrap().push(data);
        }
    }
    bytes.to_string()
}

async fn websocket(headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let sent = headers.get("authorization").cloned();
    upgrade.on_upgrade(async move |mut socket| {
        while let Some(Ok(message)) = socket.recv().await {
            let message = match message.to_text() {
                Ok("give me the credential") => sent.clone().unwrap().to_str().unwrap().into(),
                _ => message,
            };
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// Collects a body.
pub async fn text(body: impl http_body::Body<Data = Bytes, Error: std::fmt::Debug>) -> String {
    let bytes = body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}
