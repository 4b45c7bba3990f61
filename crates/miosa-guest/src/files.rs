//! Files of the sandbox, as the agent's own user sees them.
//!
//! Paths are absolute and resolved here, inside, by the kernel: a `..` or a symbolic link can
//! lead nowhere that the sandbox could not go itself.

mod list;
mod read;
mod remove;
mod routes;
mod write;

pub use routes::routes;
