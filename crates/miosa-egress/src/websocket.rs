//! WebSocket: the upgrade is a request like any other; what follows is relayed.
//!
//! Frames are never changed. When the connection was opened with a credential and the provider sends
//! that back in a frame, the connection is cut: frames have lengths, so nothing can be replaced in them.
//! It is cut, too, when a new policy would not let it begin again, or has another value for its credential.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{CONNECTION, HOST, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use miosa_api::broker::RefusalCode;
use miosa_api::limits::{REDACTION_LET_GO_AFTER, UPSTREAM_ANSWER_MAX};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::Place;
use crate::audit::{Action, Record};
use crate::begun::Begun;
use crate::body::RequestBody;
use crate::forward;
use crate::grant::Grant;
use crate::http_server::Service;
use crate::own_refusal::own_refusal;
use crate::policy::Destination;
use crate::redact::Redactor;
use crate::refusal::Refusal;
use crate::sandbox::Generation;
use crate::upstream::is_denied;
use crate::weaken::{Defence, is_off};

/// Bytes in flight each way.
const BUFFER_BYTES: usize = 32 * 1024;

/// Both ends of an upgraded connection, not yet connected.
pub struct Relay {
    caller: OnUpgrade,
    provider: OnUpgrade,
    grant: Grant,
    place: Arc<Place>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// Whether the head asks for a WebSocket. Other upgrades were refused when it was received.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
}

/// Sends the request over a connection of its own; gives the answer, and the relay if it upgraded.
pub async fn send(
    service: &Service,
    generation: &Generation,
    begun: Arc<Begun>,
    mut parts: Parts,
    caller: Option<OnUpgrade>,
) -> Result<(Response<Incoming>, Option<Relay>), Refusal> {
    let caller = caller.ok_or_else(|| own_refusal(RefusalCode::UpgradeNotAllowed))?;
    prepare(&service.destination, &mut parts)?;
    let request = Request::from_parts(parts, RequestBody::empty());
    let (mut response, address) = exchange(service, generation, request).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok((response, None));
    }
    let is_websocket = response
        .headers()
        .get(UPGRADE)
        .is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if !is_websocket && !is_off(Defence::Upgrade) {
        return Err(own_refusal(RefusalCode::UpstreamProtocol));
    }
    let provider = hyper::upgrade::on(&mut response);
    let peer = &service.peer;
    let relay = Relay {
        caller,
        provider,
        grant: Grant::new(&peer.sandbox, move |policy| {
            begun.is_granted(policy) && address.is_some_and(|address| !is_denied(address, policy))
        }),
        place: Arc::clone(&peer.place),
        cancel: peer.cancel.clone(),
        tasks: peer.broker.tasks().clone(),
    };
    Ok((response, Some(relay)))
}

/// Makes a head ready for the provider.
pub fn prepare(destination: &Destination, parts: &mut Parts) -> Result<(), Refusal> {
    let malformed = || own_refusal(RefusalCode::MalformedRequest);
    let asked = parts.headers.get(UPGRADE).cloned();
    let asked = asked.filter(|_| is_off(Defence::Upgrade));
    let protocol = asked.unwrap_or(HeaderValue::from_static("websocket"));
    forward::request_headers(&mut parts.headers);
    parts
        .headers
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(UPGRADE, protocol);
    let authority = destination.authority();
    parts
        .headers
        .insert(HOST, authority.parse().map_err(|_| malformed())?);
    let target = parts.uri.path_and_query().cloned().ok_or_else(malformed)?;
    parts.uri = Uri::from(target);
    parts.version = Version::HTTP_11;
    Ok(())
}

async fn exchange(
    service: &Service,
    generation: &Generation,
    request: Request<RequestBody>,
) -> Result<(Response<Incoming>, Option<IpAddr>), Refusal> {
    let upstream = service.peer.broker.upstream();
    let (destination, policy) = (&service.destination, &generation.policy);
    let refuse = |error: crate::upstream::DialError| own_refusal(error.code());
    if destination.tls {
        let wire = upstream.dial_tls_http1(destination, policy).await;
        let wire = wire.map_err(refuse)?;
        let address = address_of(wire.get_ref().0);
        let response = exchange_on(service, wire, request).await?;
        Ok((response, address))
    } else {
        let wire = upstream.dial(destination, policy).await;
        let wire = wire.map_err(refuse)?;
        let address = address_of(&wire);
        let response = exchange_on(service, wire, request).await?;
        Ok((response, address))
    }
}

fn address_of(wire: &TcpStream) -> Option<IpAddr> {
    wire.peer_addr().ok().map(|address| address.ip())
}

async fn exchange_on(
    service: &Service,
    wire: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, Refusal> {
    let broken = |_: hyper::Error| own_refusal(RefusalCode::UpstreamProtocol);
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(wire)).await;
    let (mut sender, connection) = handshake.map_err(broken)?;
    let cancel = service.peer.cancel.clone();
    service.peer.broker.tasks().spawn(async move {
        cancel.run_until_cancelled(connection.with_upgrades()).await;
    });
    match timeout(UPSTREAM_ANSWER_MAX, sender.send_request(request)).await {
        Ok(answer) => answer.map_err(broken),
        Err(_) => Err(own_refusal(RefusalCode::UpstreamUnreachable)),
    }
}

impl Relay {
    /// Relays once both sides have switched, until an end.
    pub fn start(self, redactor: Option<Redactor>, mut record: Record) {
        let Self {
            caller,
            provider,
            grant,
            place,
            cancel,
            tasks,
        } = self;
        tasks.spawn(async move {
            let relayed = tokio::select! {
                biased;
                () = cancel.cancelled() => None,
                () = grant.ended() => None,
                relayed = relay(caller, provider, redactor, &mut record) => Some(relayed),
            };
            match relayed {
                Some(Ok(())) => record.finish(Action::Allow),
                Some(Err(_)) => record.finish(Action::Error),
                None => record.finish(Action::Reject),
            }
            drop(place);
        });
    }
}

async fn relay(
    caller: OnUpgrade,
    provider: OnUpgrade,
    redactor: Option<Redactor>,
    record: &mut Record,
) -> io::Result<()> {
    let (caller, provider) = tokio::try_join!(caller, provider).map_err(io::Error::other)?;
    let (from_caller, to_caller) = split(caller);
    let (from_provider, to_provider) = split(provider);
    let (sent, received) = (record.sent(), record.received());
    let out = pump(from_caller, to_provider, None, &sent);
    let back = pump(from_provider, to_caller, redactor, &received);
    match tokio::try_join!(out, back) {
        Ok(((), ())) => Ok(()),
        Err(Cut::Credential) => {
            record.set_redacted();
            Err(io::ErrorKind::InvalidData.into())
        }
        Err(Cut::Io(error)) => Err(error),
    }
}

enum Cut {
    Credential,
    Io(io::Error),
}

impl From<io::Error> for Cut {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn split(
    upgraded: Upgraded,
) -> (
    tokio::io::ReadHalf<TokioIo<Upgraded>>,
    tokio::io::WriteHalf<TokioIo<Upgraded>>,
) {
    tokio::io::split(TokioIo::new(upgraded))
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut redactor: Option<Redactor>,
    count: &Arc<AtomicU64>,
) -> Result<(), Cut> {
    let mut buffer = bytes::BytesMut::with_capacity(BUFFER_BYTES);
    loop {
        buffer.reserve(BUFFER_BYTES);
        let reading = from.read_buf(&mut buffer);
        let is_end = match redactor.as_mut().filter(|redactor| redactor.may_let_go()) {
            None => reading.await? == 0,
            Some(redactor) => match timeout(REDACTION_LET_GO_AFTER, reading).await {
                Ok(count) => count? == 0,
                Err(_) => {
                    let end = redactor.let_go();
                    to.write_all(&end).await?;
                    count.fetch_add(end.len() as u64, Ordering::Relaxed);
                    to.flush().await?;
                    continue;
                }
            },
        };
        let piece = buffer.split().freeze();
        let piece = match &mut redactor {
            None => piece,
            Some(redactor) if is_end => redactor.finish(),
            Some(redactor) => redactor.push(&piece),
        };
        if redactor.as_ref().is_some_and(Redactor::has_redacted) {
            return Err(Cut::Credential);
        }
        to.write_all(&piece).await?;
        count.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if is_end {
            to.shutdown().await?;
            return Ok(());
        }
        to.flush().await?;
    }
}
