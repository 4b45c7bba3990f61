//! One audit event for every request, tunnel and refused connection.
//!
//! INVARIANT: every path writes one, because the [`Record`] that becomes it is owned by what it is
//! about and written when that is dropped. A record nobody finished was cancelled by the caller.
//!
//! A request that carries a credential is written twice with the same id: once, durably handed to the
//! system, before its answer is passed on, and again with its final numbers; the later line replaces
//! the earlier.

mod record;
mod writer;

pub use record::{Action, Record, Transport};
pub use writer::AuditLog;
