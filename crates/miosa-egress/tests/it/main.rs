//! The broker between real clients in real network namespaces and real TLS servers.
//!
//! Needs root, `ip` and `nft`: each test makes a namespace as the shim does, and hands its listeners
//! over through the broker's own socket.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beside;
mod client;
mod curl;
mod decided;
mod granted;
mod hostile;
mod lifecycle;
mod mcp;
mod namespace;
mod process;
mod provider;
mod ranges;
mod refused;
mod sandbox;
mod signed;
mod stale;
mod stream;
mod swap;
mod tunnel;
mod weaken;
mod world;
