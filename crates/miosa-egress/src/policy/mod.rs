//! What a sandbox may do, compiled, and the decisions it leads to. Pure: no I/O, no clock.
//!
//! ```text
//! SandboxPolicy ── compile ──▶ CompiledPolicy
//! Destination   ── decide_connect ──▶ Intercept | Tunnel | Plain | Deny
//! Received      ── authorize ──▶ Authorized (with one binding, or none) | Refusal
//! ```
//!
//! Invariants:
//! * Deny beats allow, and what is not understood is an error, never "no rule".
//! * A credential is authorized only where scheme, host, port, path, method and place are all those
//!   of one binding, and the request carries no other credential.
//! * What was matched is what is sent: a path with two readings is refused on a bound host.

mod authorize;
mod binding;
mod compiled;
mod connect;
mod explain;
mod foreign;
mod host;
mod mcp;
mod path;
mod place;
mod rule;
mod signing;

pub use authorize::Authorized;
pub use compiled::{CompiledPolicy, PolicyError};
pub use connect::Connect;
pub(crate) use connect::LISTENER_ID;
pub use explain::{Question, QuestionError};
pub(crate) use host::split_port;
pub use host::{Destination, Host};
pub(crate) use place::{decoded, query_pairs, split_basic};

#[cfg(test)]
pub(crate) mod tests;
