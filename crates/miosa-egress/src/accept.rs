//! Connections of a sandbox, from its listeners to the first decision.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use miosa_api::limits::BROKER_REFUSAL_TIMEOUT;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::broker::Broker;
use crate::connection::{self, Peer};
use crate::dns;
use crate::handoff::Listeners;
use crate::sandbox::{Listening, Sandbox};

/// Pause when the process is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves `listeners` until `listening` is cancelled.
pub fn start(broker: &Arc<Broker>, listening: &Arc<Listening>, listeners: Listeners) {
    let Listeners {
        tcp,
        dns_udp,
        dns_tcp,
    } = listeners;
    let asker = dns::Asker::new(broker, &listening.sandbox);
    spawn(broker, listening, async move {
        dns::serve_udp(&dns_udp, &asker).await
    });
    spawn(
        broker,
        listening,
        accept_dns(dns_tcp, Arc::clone(broker), Arc::clone(listening)),
    );
    spawn(
        broker,
        listening,
        accept_all(tcp, Arc::clone(broker), Arc::clone(listening)),
    );
}

fn spawn(
    broker: &Broker,
    listening: &Arc<Listening>,
    task: impl Future<Output = io::Result<()>> + Send + 'static,
) {
    spawn_on(&Handle::current(), broker, listening, task);
}

/// Runs a task of `listening` on `runtime`, as long as that goes on.
pub fn spawn_on(
    runtime: &Handle,
    broker: &Broker,
    listening: &Arc<Listening>,
    task: impl Future<Output = io::Result<()>> + Send + 'static,
) {
    let listening = Arc::clone(listening);
    let task = async move {
        if let Some(Err(error)) = listening.cancel.run_until_cancelled(task).await {
            tracing::debug!(sandbox = listening.sandbox.id, %error, "a connection or listener failed");
        }
    };
    broker.tasks().spawn_on(task, runtime);
}

async fn accept_all(
    tcp: TcpListener,
    broker: Arc<Broker>,
    listening: Arc<Listening>,
) -> io::Result<()> {
    loop {
        let place = Place::find(&listening.sandbox).await;
        let stream = match tcp.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause_after(&error).await?;
                continue;
            }
        };
        let place = Arc::new(place.better(&listening.sandbox));
        let sandbox = Arc::clone(&listening.sandbox);
        let cancel = listening.cancel.clone();
        let shared = Arc::clone(&broker);
        // Out of this runtime, to be taken into the lane's.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                // This one alone: others come by the same listener.
                tracing::warn!(%error, "a connection was not taken");
                continue;
            }
        };
        let lane = broker.lanes().next();
        spawn_on(lane, &broker, &listening, async move {
            let stream = TcpStream::from_std(stream)?;
            stream.set_nodelay(true)?;
            let peer = Peer {
                dialled: dialled(&stream)?,
                sandbox,
                broker: shared,
                place,
                cancel,
            };
            let limit = peer.place.is_refused().then_some(BROKER_REFUSAL_TIMEOUT);
            let serving = connection::serve(peer, stream);
            match limit {
                Some(limit) => timeout(limit, serving).await.unwrap_or(Ok(())),
                None => serving.await,
            }
        });
    }
}

/// A connection's place among those of its sandbox. When all are taken, some connections more are
/// served a refusal; beyond these callers wait in the listener's own queue, and other sandboxes notice
/// nothing.
pub enum Place {
    Served(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit),
    Refused(OwnedSemaphorePermit),
}

impl Place {
    /// Waits for one.
    pub async fn find(sandbox: &Sandbox) -> Self {
        let closed = "the semaphore is never closed";
        tokio::select! {
            biased;
            permit = Arc::clone(&sandbox.permits).acquire_owned() => Self::Served(permit.expect(closed)),
            permit = Arc::clone(&sandbox.refusals).acquire_owned() => Self::Refused(permit.expect(closed)),
        }
    }

    /// A real place, if one became free while nobody came.
    pub fn better(self, sandbox: &Sandbox) -> Self {
        let free = || Arc::clone(&sandbox.permits).try_acquire_owned();
        match self {
            Self::Refused(permit) => free().map_or(Self::Refused(permit), Self::Served),
            served @ Self::Served(_) => served,
        }
    }

    /// Whether it is one too many.
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

async fn accept_dns(
    tcp: TcpListener,
    broker: Arc<Broker>,
    listening: Arc<Listening>,
) -> io::Result<()> {
    loop {
        let Some((stream, permit)) = accept(&tcp, &listening).await? else {
            continue;
        };
        let asker = dns::Asker::new(&broker, &listening.sandbox);
        spawn(&broker, &listening, async move {
            let result = dns::serve_tcp(stream, &asker).await;
            drop(permit);
            result
        });
    }
}

/// Takes a permit, then a connection: beyond the limit callers wait in the listener's own queue.
async fn accept(
    tcp: &TcpListener,
    listening: &Listening,
) -> io::Result<Option<(TcpStream, OwnedSemaphorePermit)>> {
    let permits = Arc::clone(&listening.sandbox.permits);
    let permit = permits
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    match tcp.accept().await {
        Ok((stream, _)) => Ok(Some((stream, permit))),
        Err(error) => pause_after(&error).await.map(|()| None),
    }
}

/// Waits a little after an error that ends by itself; returns one that does not.
pub async fn pause_after(error: &io::Error) -> io::Result<()> {
    let errno = rustix::io::Errno::from_io_error(error);
    match errno {
        Some(rustix::io::Errno::BADF | rustix::io::Errno::INVAL | rustix::io::Errno::NOTSOCK) => {
            Err(io::Error::from(error.kind()))
        }
        _ => {
            tracing::warn!(%error, "a connection was not accepted");
            tokio::time::sleep(PAUSE).await;
            Ok(())
        }
    }
}

/// Where the caller wanted to go, before the packet filter sent it here.
fn dialled(stream: &TcpStream) -> io::Result<SocketAddr> {
    match rustix::net::sockopt::ip_original_dst(stream) {
        Ok(address) => Ok(SocketAddr::V4(address)),
        // Not redirected: the caller dialled the listener itself, which is no host of anybody.
        Err(_) => stream.local_addr(),
    }
}

impl Peer {
    /// The name the dialled address was given for.
    pub fn name(&self) -> Option<String> {
        let SocketAddr::V4(dialled) = self.dialled else {
            return None;
        };
        let mut names = self
            .sandbox
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        names.name_of(*dialled.ip())
    }

    /// Takes `name` as the meaning of a forgotten address of ours.
    pub fn adopt(&self, name: &str) -> bool {
        let SocketAddr::V4(dialled) = self.dialled else {
            return false;
        };
        let mut names = self
            .sandbox
            .names
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        names.adopt(*dialled.ip(), name)
    }
}
