//! Waiting for a process in the server's event loop.
#![expect(
    unsafe_code,
    reason = "registering a descriptor has only an unsafe form"
)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Resolves when the process of this `pidfd` has ended.
pub(crate) async fn ended(pidfd: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is owned by the registration and not replaced while it lives.
    let registered = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
    registered.readable().await.map(drop)
}
