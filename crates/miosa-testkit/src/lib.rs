//! A whole world in a folder, for the demo, the tests and the benches.
//!
//! Where there is no internet or no real key, provider and model are local servers under the real
//! names: [`provider`] is a TLS front with a bearer check before a real MCP server, [`model`] speaks
//! the Messages and Responses APIs from a script, [`attacker`] records every byte that reaches it.
//! [`world`] starts them, and the real `miosa` beside them, and checks on its way out that nothing
//! is left over.

pub mod main_job;
pub mod mcp;
pub mod model;
pub mod npm;
pub mod protocols;
pub mod provider;
pub mod registries;
pub mod rig;

pub use miosa_selftest::stand::{attacker, authority, tls};
pub use miosa_selftest::{leftover, world};
