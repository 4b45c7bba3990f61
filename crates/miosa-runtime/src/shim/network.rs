//! The sandbox's network namespace: no device but loopback, on which all of IPv4 is local.
//!
//! Invariants: the namespace belongs to the host's user namespace, so nobody inside may change it;
//! TCP to anything that is not the sandbox's own ends at the listener the broker holds, port 53 at
//! its two name servers, and everything else is refused at once. There is no IPv6 route but `::1`.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;

use super::broker::Broker;
use super::route;
use crate::error::{RuntimeError, Step};
use crate::probe::HOST_PATH;
use crate::runtime::{Network, SandboxSpec};
use crate::sys;

/// The sandbox's own address, from the range for benchmarks, which no real network uses.
pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The broker's listeners, and the sandbox's name server.
pub(super) const BROKER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const TCP_PORT: u16 = 1;
const DNS_UDP_PORT: u16 = 1;
const DNS_TCP_PORT: u16 = 2;
const BACKLOG: i32 = 4096;

/// Whether a TCP socket that listens in a sandbox's network is the broker's, not the sandbox's.
#[must_use]
pub fn is_broker_listener(address: IpAddr, port: u16) -> bool {
    address == BROKER && [TCP_PORT, DNS_TCP_PORT].contains(&port)
}

/// Makes this process's network namespace. With a broker, hands it the listeners.
pub(super) fn prepare(spec: &SandboxSpec) -> Result<Option<Broker>, RuntimeError> {
    sys::clone::unshare(UnshareFlags::NEWNET).step("making a network namespace")?;
    let ports = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    fs_err::write(ports, "0").step("letting anybody inside use low ports")?;
    route::loopback_up().step("bringing loopback up")?;
    let Network::Broker(socket) = &spec.network else {
        return Ok(None);
    };
    route::add_address(OWN).step("giving the sandbox an address")?;
    route::all_is_local(OWN).step("making all addresses local")?;
    load_rules().step("loading the sandbox's packet rules")?;
    let listeners = [
        listener(SocketType::STREAM, TCP_PORT),
        listener(SocketType::DGRAM, DNS_UDP_PORT),
        listener(SocketType::STREAM, DNS_TCP_PORT),
    ];
    let mut open = Vec::new();
    for listener in listeners {
        open.push(listener.step("listening in the sandbox's network")?);
    }
    let mut broker = Broker::new(socket, spec, open);
    broker.hand_over().step(format!(
        "handing the sandbox's listeners to the egress broker at {}",
        socket.display()
    ))?;
    Ok(Some(broker))
}

fn listener(kind: SocketType, port: u16) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::INET, kind, flags, None)?;
    rustix::net::bind(&socket, &SocketAddr::from((BROKER, port)))?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// Redirects on the way out; refuses on the way in, so that the sender gets the ICMP error at once
/// and not its own kernel's `EPERM`.
fn rules() -> String {
    format!(
        "table ip miosa {{
  chain to_broker {{
    type nat hook output priority -100; policy accept;
    ip daddr {{ 127.0.0.0/8, {OWN} }} accept
    udp dport 53 dnat to {BROKER}:{DNS_UDP_PORT}
    tcp dport 53 dnat to {BROKER}:{DNS_TCP_PORT}
    meta l4proto tcp dnat to {BROKER}:{TCP_PORT}
  }}
  chain refusals {{
    type filter hook input priority 0; policy accept;
    ip daddr {{ 127.0.0.0/8, {OWN} }} accept
    ct state established,related accept
    ip daddr {BROKER} ct status dnat accept
    meta l4proto udp reject with icmp type port-unreachable
    reject with icmp type admin-prohibited
  }}
}}
"
    )
}

fn load_rules() -> io::Result<()> {
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .env("PATH", HOST_PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin.write_all(rules().as_bytes())?;
    }
    let output = nft.wait_with_output()?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("nft: {words}")))
}
