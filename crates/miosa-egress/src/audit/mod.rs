//! One audit event for every request, tunnel and refused connection.
//!
//! INVARIANT: every path writes one, because the [`Record`] that becomes it is owned by what it is
//! about and written when that is dropped. A record nobody finished was cancelled by the caller.
//!
//! A request that carries a credential is written twice with the same id: once, durably handed to the
//! system, before its answer is passed on, and again with its final numbers; the later line replaces
//! the earlier.
//!
//! Lines are a chain ([`miosa_api::audit_chain`]) over restarts and rotation; the file's head is kept in
//! a small file beside it, which tells when the end of the audit was cut off.

mod file;
mod record;
mod writer;

#[cfg(test)]
use file::head_path;
pub use record::{Action, Record, Transport};
pub use writer::AuditLog;
