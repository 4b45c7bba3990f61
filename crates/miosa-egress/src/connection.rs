//! One connection of a sandbox: what it speaks, where it leads, and what policy makes of it.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use miosa_api::broker::RefusalCode;
use miosa_api::limits::{REFUSED_BODY_BYTES_MAX, REFUSED_BODY_TIMEOUT};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::accept::Place;
use crate::audit::{Record, Transport};
use crate::broker::Broker;
use crate::ca::CaError;
use crate::dns;
use crate::first_bytes::{self, FirstBytes};
use crate::grant::Grant;
use crate::http_server::{self, Service, Verdict};
use crate::own_refusal::own_refusal;
use crate::policy::{CompiledPolicy, Connect, Destination, Host};
use crate::refusal::Refusal;
use crate::sandbox::{Generation, Sandbox};
use crate::tunnel;
use crate::upstream::is_denied;
use crate::weaken::{self, Defence, is_off};

/// What a caller's bytes come by.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Wire for T {}

/// Who is calling, and whom.
pub struct Peer {
    /// The broker.
    pub broker: Arc<Broker>,
    /// The sandbox, known from the listener.
    pub sandbox: Arc<Sandbox>,
    /// The address it dialled.
    pub dialled: SocketAddr,
    /// Its place among those of its sandbox, held as long as anything of it goes on.
    pub place: Arc<Place>,
    /// Cancelled when the listener closes that it came in by.
    pub cancel: CancellationToken,
}

/// What is left to do for a connection.
///
/// Each phase of a connection has memory of its own, given back before the next begins: most
/// connections are idle most of the time, and what they wait in is small.
pub type Rest = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Serves one connection to its end.
pub async fn serve(peer: Peer, stream: impl Wire) -> io::Result<()> {
    let rest = Box::pin(begin(peer, stream)).await?;
    rest.await
}

/// Up to where it is known what the connection speaks, and that it may.
async fn begin(peer: Peer, mut stream: impl Wire) -> io::Result<Rest> {
    match first_bytes::read(&mut stream).await? {
        FirstBytes::Tls { server_name, bytes } => serve_tls(peer, server_name, bytes, stream).await,
        FirstBytes::Http { bytes } => serve_http(peer, bytes, stream).await,
        FirstBytes::Other => Ok(Box::pin(refuse_other(peer, stream))),
        FirstBytes::Nothing => Ok(Box::pin(ready(Ok(())))),
    }
}

async fn serve_tls(
    peer: Peer,
    server_name: Option<String>,
    bytes: BytesMut,
    stream: impl Wire,
) -> io::Result<Rest> {
    // Not the generation, which holds opened secrets: connections last.
    let generation = peer.generation();
    let in_force = generation.map(|now| (Arc::clone(&now.policy), Arc::clone(&now.ca)));
    let Some((policy, ca)) = in_force else {
        // Without a policy there is no authority to answer TLS with.
        peer.record(Transport::Connect)
            .refuse(&own_refusal(RefusalCode::PolicyUnavailable));
        return Ok(Box::pin(ready(Ok(()))));
    };
    let (destination, is_match) = peer.tls_destination(server_name.as_deref());
    // Clients check the certificate against what they asked for.
    let leaf_name = server_name.unwrap_or_else(|| destination.host.to_string());
    let verdict = if peer.place.is_refused() {
        Verdict::Refuse(RefusalCode::TooManyRequests)
    } else if is_match {
        match policy.decide_connect(&destination) {
            Connect::Tunnel => {
                let upstream = peer.broker.upstream();
                match upstream.dial(&destination, &policy).await {
                    Ok(provider) => {
                        let ends = (stream, provider);
                        let tunnel = tunnel_to(peer, policy, destination, ends, bytes.freeze());
                        return Ok(Box::pin(tunnel.map(Ok)));
                    }
                    Err(error) => Verdict::Refuse(error.code()),
                }
            }
            // A refusal is said to each request, by the same stages that would let it pass.
            Connect::Intercept | Connect::Plain | Connect::Deny(_) => Verdict::Decide,
        }
    } else {
        Verdict::Refuse(RefusalCode::ServerNameMismatch)
    };
    let config = match ca.server_config(&leaf_name) {
        Ok(config) => config,
        Err(CaError::TooMany) => {
            let mut record = peer.record(Transport::Connect);
            record.refuse(&own_refusal(RefusalCode::TooManyRequests));
            return Ok(Box::pin(ready(Ok(()))));
        }
        Err(error) => return Err(io::Error::other(error)),
    };
    let service = Service::new(peer, destination, verdict, Transport::Intercept);
    http_server::serve_tls(service, config, bytes.freeze(), stream).await
}

async fn tunnel_to(
    peer: Peer,
    policy: Arc<CompiledPolicy>,
    destination: Destination,
    (caller, provider): (impl Wire, TcpStream),
    first: Bytes,
) {
    let mut record = peer.record(Transport::Tunnel);
    record.set_policy(policy.tenant_id(), policy.generation());
    record.set_destination(&destination.host.to_string(), destination.port);
    // Of a host that is passed through, no rule asks for method or path.
    record.allow(policy.allowing_rule(&destination, "", ""));
    let address = provider.peer_addr().ok().map(|address| address.ip());
    let grant = Grant::new(&peer.sandbox, move |policy| {
        policy.decide_connect(&destination) == Connect::Tunnel
            && address.is_some_and(|address| !is_denied(address, policy))
    });
    drop(policy);
    tunnel::relay(caller, provider, &first, grant, record).await;
}

async fn serve_http(peer: Peer, bytes: BytesMut, stream: impl Wire) -> io::Result<Rest> {
    let address = peer.dialled.ip();
    let known = peer.name();
    // Without TLS a forgotten address is not adopted: the caller looks the name up again.
    let is_forgotten = known.is_none() && dns::is_synthetic(address);
    let verdict = if peer.place.is_refused() {
        Verdict::Refuse(RefusalCode::TooManyRequests)
    } else if is_forgotten {
        Verdict::Refuse(RefusalCode::AuthorityMismatch)
    } else {
        Verdict::Decide
    };
    let host = known.map_or(Host::Address(address), Host::Name);
    let destination = Destination {
        host,
        port: peer.dialled.port(),
        tls: false,
    };
    let service = Service::new(peer, destination, verdict, Transport::Http);
    http_server::serve_plain(service, bytes.freeze(), stream).await
}

/// Says in HTTP that only TLS and HTTP pass: many programs show the first line they get.
async fn refuse_other(peer: Peer, stream: impl Wire) -> io::Result<()> {
    let refusal = own_refusal(RefusalCode::ProtocolNotAllowed);
    peer.record(Transport::Connect).refuse(&refusal);
    refuse_raw(&refusal, stream).await
}

/// Writes a refusal as HTTP/1.1 by hand, and ends the connection.
pub async fn refuse_raw(
    refusal: &Refusal,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let body = refusal.to_body();
    let head = format!(
        "HTTP/1.1 {}\r\ncontent-type: application/json\r\nx-miosa-refusal: {}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        refusal.status(),
        refusal.code.as_str(),
        body.len(),
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    // Bytes that nobody read would make the end a reset, which takes the answer with it.
    let mut rest = stream.take(REFUSED_BODY_BYTES_MAX);
    let mut nowhere = tokio::io::sink();
    let reading = tokio::io::copy(&mut rest, &mut nowhere);
    drop(tokio::time::timeout(REFUSED_BODY_TIMEOUT, reading).await);
    Ok(())
}

/// Whether a server name is a host's in its one spelling, which is what policy and the audit know.
fn is_name(server_name: &str) -> bool {
    let host = Host::parse(server_name);
    host.as_ref().and_then(Host::name) == Some(server_name)
}

impl Peer {
    /// The policy in force.
    pub fn generation(&self) -> Option<Arc<Generation>> {
        let current = self.sandbox.current();
        current.or_else(|| self.broker.open_generation(&self.sandbox.id))
    }

    /// Begins a record of this connection.
    pub fn record(&self, transport: Transport) -> Record {
        let mut record = Record::begin(self.broker.audit(), &self.sandbox.id, transport);
        let host = self.name().unwrap_or_else(|| self.dialled.ip().to_string());
        record.set_destination(&host, self.dialled.port());
        if let Some(generation) = self.sandbox.current() {
            record.set_policy(&generation.source.tenant_id, generation.source.generation);
        }
        record
    }

    /// Where a TLS connection leads, and whether its server name agrees with that.
    fn tls_destination(&self, server_name: Option<&str>) -> (Destination, bool) {
        let address = self.dialled.ip();
        let known = self.name().or_else(|| {
            server_name
                .filter(|name| is_name(name) && self.adopt(name))
                .map(str::to_owned)
        });
        let (host, is_match) = match known {
            Some(name) => {
                let is_match = server_name == Some(name.as_str()) || is_off(Defence::ServerName);
                (Host::Name(name), is_match)
            }
            // A forgotten address of ours, spoken to without a name.
            None if dns::is_synthetic(address) => (Host::Address(address), false),
            None => match server_name.filter(|_| is_off(Defence::DialledAddress)) {
                Some(name) => {
                    weaken::note_dialled(name, self.dialled);
                    (Host::Name(name.to_owned()), true)
                }
                None => (Host::Address(address), true),
            },
        };
        (
            Destination {
                host,
                port: self.dialled.port(),
                tls: true,
            },
            is_match,
        )
    }
}
