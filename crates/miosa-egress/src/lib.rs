//! The egress broker: decides what a sandbox may send, puts the real credential in, and takes it out
//! of what comes back.
//!
//! A request passes stages that are types; none can be skipped: `request::Received` (shape and
//! identity) → `policy::Authorized` (decision) → `substitute::Substituted` (the secret is in it) →
//! sent → `redact::Redactor` (the secret is out again). These modules are pure: no I/O, no clock.

mod accept;
mod approval;
mod audit;
mod begun;
mod body;
mod broker;
mod budget;
mod ca;
mod config;
mod connection;
mod control;
mod dns;
mod error;
mod first_bytes;
mod first_head;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod grant;
mod handoff;
mod harden;
mod http_server;
mod lanes;
pub mod mcp;
pub mod opened;
mod own_refusal;
pub mod placeholder;
pub mod policy;
mod provider_body;
mod proxy;
mod rate;
pub mod redact;
pub mod refusal;
mod replay;
pub mod request;
mod run;
mod sandbox;
mod serve;
mod sigv4;
mod socket;
mod standalone;
pub mod substitute;
mod tunnel;
mod upstream;
mod weaken;
mod websocket;

pub use config::Config;
pub use error::EgressError;
pub use run::run;
pub use standalone::{At, Listener, MakeListeners, Source, SourceError, run_standalone};
