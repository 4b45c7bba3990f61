//! HTTP/1.1 and HTTP/2 towards the sandbox, over TLS in the host's name or without.
//!
//! hyper parses strictly; its limits on heads, streams and resets are set here.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::CONNECTION;
use http::{HeaderValue, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use miosa_api::broker::RefusalCode;
use miosa_api::limits::{
    BROKER_HEAD_BYTES_MAX, BROKER_HEADERS_MAX, BROKER_IDLE_MAX, BROKER_RESETS_MAX,
    BROKER_STREAMS_MAX, FIRST_BYTES_TIMEOUT,
};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::audit::Transport;
use crate::body::AnswerBody;
use crate::connection::{Peer, Rest, Wire, refuse_raw};
use crate::first_head;
use crate::own_refusal::own_refusal;
use crate::policy::Destination;
use crate::replay::Replay;
use crate::sandbox::Generation;
use crate::serve;
use crate::weaken::{Defence, is_off};

/// What a sandbox may send before it is read, and what is kept for it until it reads: for a thousand requests
/// in flight some hundred megabytes, and large enough for a caller that is as near as a sandbox is.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// What is known of a connection before its requests.
pub struct Service {
    /// Who is calling.
    pub peer: Peer,
    /// Where it leads; requests must agree.
    pub destination: Destination,
    /// What becomes of its requests.
    pub verdict: Verdict,
    /// For the audit.
    pub transport: Transport,
    /// What was in force when it began.
    #[cfg(feature = "weaken")]
    began_with: Option<Arc<Generation>>,
}

/// What becomes of the requests of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Policy decides on each.
    Decide,
    /// All are refused.
    Refuse(RefusalCode),
}

impl Service {
    /// A service of one connection.
    pub fn new(
        peer: Peer,
        destination: Destination,
        verdict: Verdict,
        transport: Transport,
    ) -> Self {
        Self {
            #[cfg(feature = "weaken")]
            began_with: is_off(Defence::Generation)
                .then(|| peer.generation())
                .flatten(),
            peer,
            destination,
            verdict,
            transport,
        }
    }

    /// The policy for a request that comes now.
    pub fn generation(&self) -> Option<Arc<Generation>> {
        #[cfg(feature = "weaken")]
        if self.began_with.is_some() {
            return self.began_with.clone();
        }
        self.peer.generation()
    }

    /// Whether it is `generation` still.
    pub fn is_in_force(&self, generation: &Generation) -> bool {
        self.generation()
            .is_some_and(|now| std::ptr::eq(&raw const *now, generation))
    }
}

/// Answers TLS with `config`, then HTTP. `first` is what was read already.
pub async fn serve_tls(
    service: Service,
    config: Arc<ServerConfig>,
    first: Bytes,
    stream: impl Wire,
) -> io::Result<Rest> {
    let handshake = TlsAcceptor::from(config).accept(Replay::new(first, stream));
    let handshake = tokio::time::timeout(FIRST_BYTES_TIMEOUT, handshake).await;
    match handshake.map_err(io::Error::from).flatten() {
        Ok(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2") => Ok(serve_on(service, tls)),
        Ok(tls) => serve_http1(service, Bytes::new(), tls).await,
        Err(error) => {
            // The caller does not trust us or speaks an older TLS: it was refused, whoever did it.
            let refusal = own_refusal(RefusalCode::ProtocolNotAllowed);
            service.peer.record(Transport::Connect).refuse(&refusal);
            Err(error)
        }
    }
}

/// Answers HTTP without TLS.
pub async fn serve_plain(service: Service, first: Bytes, stream: impl Wire) -> io::Result<Rest> {
    serve_http1(service, first, stream).await
}

/// Answers HTTP/1 whose first head is fit.
async fn serve_http1<S>(service: Service, first: Bytes, mut stream: S) -> io::Result<Rest>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if is_off(Defence::StrictFraming) {
        return Ok(serve_on(service, Replay::new(first, stream)));
    }
    match first_head::read(&mut stream, &first).await? {
        None => Ok(Box::pin(ready(Ok(())))),
        Some(Ok(first)) => Ok(serve_on(service, Replay::new(first, stream))),
        Some(Err(code)) => {
            let refusal = own_refusal(code);
            service.peer.record(service.transport).refuse(&refusal);
            Ok(Box::pin(async move { refuse_raw(&refusal, stream).await }))
        }
    }
}

/// Not async, and its requests boxed: the stream would be held twice, and an idle connection would keep
/// room for a request.
fn serve_on<S>(service: Service, stream: S) -> Rest
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = Arc::new(service);
    let shared = Arc::clone(&service);
    let answer = service_fn(move |request| Box::pin(serve_one(Arc::clone(&shared), request)));
    let server = server(TokioExecutor::new());
    let served = server.serve_connection_with_upgrades(TokioIo::new(stream), answer);
    let served = served.into_owned().map(move |served| {
        served.map_err(|error| {
            if let Some(code) = refused_by_parser(error.as_ref()) {
                let mut record = service.peer.record(service.transport);
                record.refuse(&own_refusal(code));
            }
            io::Error::other(error)
        })
    });
    Box::pin(served)
}

async fn serve_one(
    service: Arc<Service>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let is_http1 = request.version() < Version::HTTP_2;
    let mut response = serve::serve(&service, request).await;
    if is_http1 && service.peer.place.is_refused() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// What the parser itself answered with an empty 400 or 431.
fn refused_by_parser(error: &(dyn std::error::Error + 'static)) -> Option<RefusalCode> {
    let error = error.downcast_ref::<hyper::Error>()?;
    match (error.is_parse_too_large(), error.is_parse()) {
        (true, _) => Some(RefusalCode::HeadTooLarge),
        (false, is_parse) => is_parse.then_some(RefusalCode::MalformedRequest),
    }
}

/// The server with its limits.
pub fn server<E>(executor: E) -> auto::Builder<E> {
    let mut server = auto::Builder::new(executor);
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(BROKER_IDLE_MAX)
        .max_buf_size(BROKER_HEAD_BYTES_MAX)
        .max_headers(BROKER_HEADERS_MAX);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(BROKER_IDLE_MAX)
        .max_header_list_size(u32::try_from(BROKER_HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(BROKER_STREAMS_MAX)
        .max_pending_accept_reset_streams(BROKER_RESETS_MAX)
        .max_local_error_reset_streams(BROKER_RESETS_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    server
}
