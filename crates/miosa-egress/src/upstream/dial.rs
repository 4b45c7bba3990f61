//! From a name to a connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use ipnet::IpNet;
use miosa_api::limits::UPSTREAM_CONNECT_TIMEOUT;
use rustix::net::sockopt;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address::{is_allowed, is_denied};
use super::{Client, Connector, DialError, client, tls};
use crate::config::Config;
use crate::error::EgressError;
use crate::policy::{CompiledPolicy, Destination, Host};
use crate::weaken::{self, Defence, is_off};

/// How long one of several addresses is tried.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which a connection is probed.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// A TLS connection to a provider.
pub type TlsWire = tokio_rustls::client::TlsStream<TcpStream>;

/// How to reach providers.
pub struct Upstream {
    static_hosts: BTreeMap<String, SocketAddr>,
    allowed_ranges: Vec<IpNet>,
    resolver: Option<TokioResolver>,
    any_http: TlsConnector,
    http1: TlsConnector,
}

impl Upstream {
    /// Reads the host's resolver configuration and certificate store.
    pub fn new(config: &Config) -> Result<Self, EgressError> {
        let tls = tls::client_config(config)?;
        let with_alpn = |protocols: &[&[u8]]| {
            let mut config = tls.clone();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Ok(Self {
            static_hosts: config.static_hosts.clone(),
            allowed_ranges: config.allowed_ranges.clone(),
            resolver: resolver(&config.resolvers),
            any_http: with_alpn(&[b"h2", b"http/1.1"]),
            http1: with_alpn(&[b"http/1.1"]),
        })
    }

    /// A pool of connections for one policy of one sandbox.
    #[must_use]
    pub fn client(self: &Arc<Self>, policy: &Arc<CompiledPolicy>) -> Client {
        let connector = Connector::new(Arc::clone(self), Arc::clone(policy));
        client::build(connector, client::POOL_IDLE_PER_HOST_MAX)
    }

    /// The same with a fresh connection for each request.
    #[must_use]
    pub fn fresh_client(self: &Arc<Self>, policy: &Arc<CompiledPolicy>) -> Client {
        client::build(Connector::new(Arc::clone(self), Arc::clone(policy)), 0)
    }

    /// Whether this address may be dialled, by the operator's ranges and the rules of `policy`.
    pub fn judge(&self, address: IpAddr, policy: &CompiledPolicy) -> Result<(), DialError> {
        if !is_allowed(address, &self.allowed_ranges) && !is_off(Defence::SpecialAddresses) {
            return Err(DialError::AddressNotAllowed);
        }
        if is_denied(address, policy) {
            return Err(DialError::AddressDenied);
        }
        Ok(())
    }

    /// Connects to the first address of a host that is allowed, that no rule of `policy` refuses, and
    /// that answers.
    pub async fn dial(
        &self,
        to: &Destination,
        policy: &CompiledPolicy,
    ) -> Result<TcpStream, DialError> {
        let connect = async {
            let mut last = DialError::NotFound;
            for address in self.addresses(&to.host, to.port).await? {
                if let Err(error) = self.judge(address.ip(), policy) {
                    last = error;
                    continue;
                }
                match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => return Ok(prepared(stream)),
                    Ok(Err(error)) => {
                        tracing::debug!(%address, %error, "a provider did not answer");
                        last = DialError::Unreachable;
                    }
                    Err(_) => last = DialError::Unreachable,
                }
            }
            Err(last)
        };
        timeout(UPSTREAM_CONNECT_TIMEOUT, connect)
            .await
            .unwrap_or(Err(DialError::Unreachable))
    }

    /// Connects with TLS for HTTP/2 or HTTP/1.1.
    pub async fn dial_tls(
        &self,
        to: &Destination,
        policy: &CompiledPolicy,
    ) -> Result<TlsWire, DialError> {
        self.dial_with(&self.any_http, to, policy).await
    }

    /// Connects with TLS for HTTP/1.1 alone: what can be upgraded.
    pub async fn dial_tls_http1(
        &self,
        to: &Destination,
        policy: &CompiledPolicy,
    ) -> Result<TlsWire, DialError> {
        self.dial_with(&self.http1, to, policy).await
    }

    async fn dial_with(
        &self,
        tls: &TlsConnector,
        to: &Destination,
        policy: &CompiledPolicy,
    ) -> Result<TlsWire, DialError> {
        let name = match &to.host {
            Host::Name(name) => {
                ServerName::try_from(name.clone()).map_err(|_| DialError::NotFound)?
            }
            Host::Address(address) => ServerName::IpAddress((*address).into()),
        };
        let handshake = async {
            let stream = self.dial(to, policy).await?;
            tls.connect(name, stream).await.map_err(|error| {
                tracing::debug!(%error, "a TLS handshake with a provider failed");
                classify(&error)
            })
        };
        timeout(UPSTREAM_CONNECT_TIMEOUT, handshake)
            .await
            .unwrap_or(Err(DialError::Unreachable))
    }

    /// Where the operator says a host is, be it a name or an address.
    fn listed(&self, host: &Host, port: u16) -> Option<SocketAddr> {
        let with_port = self.static_hosts.get(&format!("{host}:{port}"));
        with_port
            .or_else(|| self.static_hosts.get(&host.to_string()))
            .copied()
    }

    async fn addresses(&self, host: &Host, port: u16) -> Result<Vec<SocketAddr>, DialError> {
        if let Some(dialled) = weaken::dialled(host, port) {
            return Ok(vec![
                self.listed(&Host::Address(dialled.ip()), port)
                    .unwrap_or(dialled),
            ]);
        }
        if let Some(address) = self.listed(host, port) {
            return Ok(vec![address]);
        }
        let name = match host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
            Host::Name(name) => name,
        };
        let resolver = self.resolver.as_ref().ok_or(DialError::NotFound)?;
        // The final dot keeps the host's search domains out.
        let found = resolver
            .lookup_ip(format!("{name}."))
            .await
            .map_err(|error| {
                tracing::debug!(%error, "a name was not resolved");
                DialError::NotFound
            })?;
        let mut found: Vec<IpAddr> = found.iter().collect();
        found.sort_by_key(IpAddr::is_ipv6);
        Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }
}

/// The host's resolver, or one that asks these servers.
fn resolver(servers: &[SocketAddr]) -> Option<TokioResolver> {
    let builder = if servers.is_empty() {
        TokioResolver::builder_tokio()
    } else {
        let servers = servers.iter().map(name_server).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        Ok(TokioResolver::builder_with_config(
            config,
            TokioRuntimeProvider::default(),
        ))
    };
    let built = builder.and_then(|builder| builder.build());
    built
        .inspect_err(|error| tracing::warn!(%error, "no resolver: only static hosts are reachable"))
        .ok()
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn prepared(stream: TcpStream) -> TcpStream {
    // Both only help; a socket without them works.
    stream.set_nodelay(true).ok();
    sockopt::set_socket_keepalive(&stream, true).ok();
    sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE).ok();
    stream
}

fn classify(error: &std::io::Error) -> DialError {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            DialError::Certificate
        }
        _ => DialError::Handshake,
    }
}
