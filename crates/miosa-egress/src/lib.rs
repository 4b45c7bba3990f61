//! The egress broker: decides what a sandbox may send, puts the real credential in, and takes it out
//! of what comes back.
//!
//! A request passes stages that are types; none can be skipped: `request::Received` (shape and
//! identity) → `policy::Authorized` (decision) → `substitute::Substituted` (the secret is in it) →
//! sent → `redact::Redactor` (the secret is out again). These modules are pure: no I/O, no clock.

mod audit;
mod body;
mod ca;
mod config;
mod dns;
mod error;
mod first_bytes;
mod forward;
mod harden;
pub mod placeholder;
pub mod policy;
pub mod redact;
pub mod refusal;
pub mod request;
mod socket;
pub mod substitute;
mod upstream;

pub use config::Config;
pub use error::EgressError;
