//! The real binary against a real HTTP server that answers as the contract says.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests are not tests to clippy"
)]

mod audit;
mod connectors;
mod errors;
mod files;
mod help;
mod identity;
mod network;
mod rules;
mod sandbox;
mod server;
mod up;
