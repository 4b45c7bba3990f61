//! The way out: the only place that dials.
//!
//! INVARIANT: the address dialled is the address checked. A name is resolved here, by the host's own
//! resolver, whatever address the sandbox dialled; each address that comes back is checked, against the
//! operator's ranges and the sandbox's rules; exactly those are dialled, and the certificate must be for the name.

mod address;
mod client;
mod dial;
mod error;
mod tls;

pub use address::is_denied;
pub use client::{Client, Connector};
pub use dial::{TlsWire, Upstream};
pub use error::DialError;
