//! TLS passed on unopened, to a host that policy allows and no credential is bound to.
//!
//! The server name was checked against the name the address was given for, and the broker resolved
//! that name itself. A tunnel lasts as long as policy would grant it again: when a new generation
//! says otherwise (a credential was bound to the host, or a rule was added), it is cut.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::audit::{Action, Record};
use crate::connection::Wire;
use crate::grant::Grant;

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
        // Before the first byte: policy may have changed while the provider was dialled.
        biased;
        () = grant.ended() => Action::Reject,
        copied = copy => if copied.is_ok() { Action::Allow } else { Action::Error },
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
