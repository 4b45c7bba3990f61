//! The proxy's own listeners: an address, or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use miosa_api::limits::BROKER_REFUSAL_TIMEOUT;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;

use super::serve::{Caller, serve};
use crate::accept::{Place, pause_after, spawn_on};
use crate::broker::Broker;
use crate::connection::Wire;
use crate::sandbox::Listening;
use crate::socket::Unlink;

/// Where callers come in.
pub enum Door {
    /// By an address.
    Tcp(TcpListener),
    /// By a file, which goes with the door.
    Unix(
        // Before the listener is closed.
        #[expect(dead_code, reason = "removes the file")] Unlink,
        UnixListener,
    ),
}

/// A connection that belongs to no runtime yet.
enum Arrived {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Door {
    /// The address, if it is one.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    async fn accept(&self) -> io::Result<Arrived> {
        match self {
            Self::Tcp(listener) => listener.accept().await?.0.into_std().map(Arrived::Tcp),
            Self::Unix(_, listener) => listener.accept().await?.0.into_std().map(Arrived::Unix),
        }
    }
}

impl Arrived {
    fn here(self) -> io::Result<Box<dyn Wire>> {
        match self {
            Self::Tcp(stream) => {
                let stream = TcpStream::from_std(stream)?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
            Self::Unix(stream) => Ok(Box::new(UnixStream::from_std(stream)?)),
        }
    }
}

/// Serves what comes in, under the same limits as a sandbox's connections.
pub async fn accept_all(
    door: Door,
    broker: Arc<Broker>,
    listening: Arc<Listening>,
) -> io::Result<()> {
    loop {
        let place = Place::find(&listening.sandbox).await;
        let arrived = match door.accept().await {
            Ok(arrived) => arrived,
            Err(error) => {
                pause_after(&error).await?;
                continue;
            }
        };
        let place = place.better(&listening.sandbox);
        let caller = Caller {
            broker: Arc::clone(&broker),
            sandbox: Arc::clone(&listening.sandbox),
            place: Arc::new(place),
            cancel: listening.cancel.clone(),
        };
        spawn_on(broker.lanes().next(), &broker, &listening, async move {
            let limit = caller.place.is_refused().then_some(BROKER_REFUSAL_TIMEOUT);
            let serving = serve(caller, arrived.here()?);
            match limit {
                Some(limit) => timeout(limit, serving).await.unwrap_or(Ok(())),
                None => serving.await,
            }
        });
    }
}
