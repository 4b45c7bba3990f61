//! The real binary against a real HTTP server that answers as the contract says.

mod connectors;
mod errors;
mod files;
mod help;
mod identity;
mod sandbox;
mod server;
