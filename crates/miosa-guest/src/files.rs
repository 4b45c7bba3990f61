//! Files of the sandbox, as the agent's own user sees them.
//!
//! Paths are absolute and resolved here, inside, by the kernel: a `..` or a symbolic link can
//! lead nowhere that the sandbox could not go itself.

mod list;
mod read;
mod remove;
mod routes;
mod write;

use std::io;

use crate::failure::Failure;

pub use routes::routes;

/// Runs work that waits for a disk away from the one thread that must not wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
