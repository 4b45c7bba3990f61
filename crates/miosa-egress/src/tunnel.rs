//! TLS passed on unopened, to a host that policy allows and no credential is bound to.
//!
//! The server name was checked against the name the address was given for, and the broker resolved
//! that name itself. A tunnel lasts as long as policy would grant it again: when a new generation
//! says otherwise (a credential was bound to the host, or a rule was added), it is cut.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::audit::{Action, Record};
use crate::connection::Wire;
use crate::policy::{Connect, Destination};
use crate::sandbox::Generation;
use crate::upstream::is_denied;
use crate::weaken::{Defence, is_off};

/// Bytes in flight each way.
const BUFFER_BYTES: usize = 128 * 1024;

/// Relays until an end. `first` is what the caller said already.
pub async fn relay(
    caller: impl Wire,
    mut provider: TcpStream,
    first: &[u8],
    grant: Grant,
    mut record: Record,
) {
    record.allow();
    let address = provider.peer_addr().ok().map(|address| address.ip());
    let (sent, received) = (record.sent(), record.received());
    let copy = async {
        provider.write_all(first).await?;
        sent.fetch_add(first.len() as u64, Ordering::Relaxed);
        let (from_caller, to_caller) = tokio::io::split(caller);
        let (from_provider, to_provider) = provider.split();
        tokio::try_join!(
            pump(from_caller, to_provider, &sent),
            pump(from_provider, to_caller, &received),
        )
    };
    let action = tokio::select! {
        copied = copy => if copied.is_ok() { Action::Allow } else { Action::Error },
        () = grant.ended(address) => Action::Reject,
    };
    record.finish(action);
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &Arc<AtomicU64>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// Policy's leave to tunnel, which may end.
pub struct Grant {
    /// The sandbox's policy, now and later.
    pub generations: watch::Receiver<Option<Arc<Generation>>>,
    /// Where the tunnel leads.
    pub destination: Destination,
}

impl Grant {
    /// Waits for a policy that would not grant this tunnel to `address`.
    async fn ended(mut self, address: Option<IpAddr>) {
        while self.generations.changed().await.is_ok() {
            let generation = self.generations.borrow_and_update().clone();
            let is_granted = is_off(Defence::Generation)
                || generation.is_some_and(|generation| {
                    let policy = &generation.policy;
                    policy.decide_connect(&self.destination) == Connect::Tunnel
                        && address.is_some_and(|address| !is_denied(address, policy))
                });
            if !is_granted {
                return;
            }
        }
    }
}
