//! Shims hand over listening sockets made inside a sandbox's network namespace.
//!
//! SECURITY: the listener is the caller's identity. Whatever comes in by it is that sandbox's; nothing
//! a sandbox says is ever used for it. The shim keeps its connection open, and its end is the end of
//! the listeners and of all that came in by them.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{TcpListener as StdTcpListener, UdpSocket as StdUdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use miosa_api::broker::ListenerHandoff;
use miosa_api::limits::FIRST_BYTES_TIMEOUT;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, SocketType,
    sockopt,
};
use tokio::io::Interest;
use tokio::net::{TcpListener, UdpSocket, UnixListener, UnixStream};

use crate::accept;
use crate::broker::Broker;

/// Bytes of a handoff's JSON.
const MESSAGE_BYTES_MAX: usize = 4096;
const TAKEN: u8 = 1;
const REFUSED: u8 = 0;

/// The three sockets of a sandbox.
pub struct Listeners {
    /// All TCP.
    pub tcp: TcpListener,
    /// DNS.
    pub dns_udp: UdpSocket,
    /// DNS over TCP.
    pub dns_tcp: TcpListener,
}

/// Takes connections of shims until the socket fails. tokio's types are for streams, but they work on
/// any Unix socket: only readiness and `accept` are used of them.
pub async fn serve(socket: UnixListener, broker: Arc<Broker>) -> io::Result<()> {
    loop {
        match socket.accept().await {
            Ok((shim, _)) => {
                let shared = Arc::clone(&broker);
                broker.tasks().spawn(async move {
                    if let Err(error) = take(&shim, &shared).await {
                        tracing::warn!(%error, "a handoff of listeners failed");
                    }
                });
            }
            Err(error) => accept::pause_after(&error).await?,
        }
    }
}

async fn take(shim: &UnixStream, broker: &Arc<Broker>) -> io::Result<()> {
    let received = tokio::time::timeout(FIRST_BYTES_TIMEOUT, receive(shim)).await?;
    let (handoff, listeners) = match received {
        Ok(received) => received,
        Err(error) => {
            answer(shim, REFUSED)?;
            return Err(error);
        }
    };
    let Some(listening) = broker.listen(&handoff) else {
        return answer(shim, REFUSED);
    };
    tracing::info!(
        sandbox = handoff.sandbox_id,
        generation = handoff.generation,
        "listening"
    );
    accept::start(broker, &listening, listeners);
    answer(shim, TAKEN)?;
    tokio::select! {
        () = listening.cancel.cancelled() => {}
        () = ended(shim) => {}
    }
    broker.stop_listening(&listening);
    Ok(())
}

/// Ready when the shim leaves. It has nothing more to say: whatever it does now is its end.
async fn ended(shim: &UnixStream) {
    let read = || Ok(rustix::net::recv(shim, &mut [0; 1], RecvFlags::empty())?);
    shim.async_io(Interest::READABLE, read).await.ok();
}

async fn receive(shim: &UnixStream) -> io::Result<(ListenerHandoff, Listeners)> {
    let received = shim
        .async_io(Interest::READABLE, || receive_message(shim))
        .await;
    let (bytes, descriptors) = received?;
    let handoff = serde_json::from_slice(&bytes)?;
    Ok((handoff, listeners(descriptors)?))
}

fn receive_message(socket: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let descriptors = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    if received
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.truncate(received.bytes);
    Ok((bytes, descriptors))
}

fn listeners(descriptors: Vec<OwnedFd>) -> io::Result<Listeners> {
    let [tcp, dns_udp, dns_tcp] = <[OwnedFd; 3]>::try_from(descriptors)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not three descriptors"))?;
    let is_listener = |fd: &OwnedFd| -> io::Result<bool> {
        Ok(sockopt::socket_type(fd)? == SocketType::STREAM && sockopt::socket_acceptconn(fd)?)
    };
    if !is_listener(&tcp)?
        || !is_listener(&dns_tcp)?
        || sockopt::socket_type(&dns_udp)? != SocketType::DGRAM
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not TCP, UDP and TCP sockets",
        ));
    }
    for socket in [tcp.as_fd(), dns_udp.as_fd(), dns_tcp.as_fd()] {
        rustix::io::ioctl_fionbio(socket, true)?;
    }
    Ok(Listeners {
        tcp: TcpListener::from_std(StdTcpListener::from(tcp))?,
        dns_udp: UdpSocket::from_std(StdUdpSocket::from(dns_udp))?,
        dns_tcp: TcpListener::from_std(StdTcpListener::from(dns_tcp))?,
    })
}

fn answer(shim: &UnixStream, byte: u8) -> io::Result<()> {
    rustix::net::send(shim, &[byte], SendFlags::NOSIGNAL)?;
    Ok(())
}
