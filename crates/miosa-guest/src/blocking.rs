//! Work that waits for a disk, away from the one thread that must not wait.

use std::io;

use crate::failure::Failure;

/// Runs it on a thread of its own and awaits its end.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
