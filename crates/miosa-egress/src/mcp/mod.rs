//! Rules on what a sandbox may ask of an MCP server: the one place where the broker reads bodies.
//!
//! ```text
//! Authorized ── Cleared::unread ──▶ Cleared (no rules on MCP here)
//!            └─ clear: body ── Inspected::parse ── decide ──▶ Cleared (what was read is what is sent) | refusal
//! answer ── Exchange::filter ── Filter ──▶ the same without what is not allowed
//! ```
//!
//! Invariants:
//! * A request under rules is sent only as the very bytes that were read, whole, by the strict parser.
//! * Of a batch all or nothing goes.
//! * What cannot be read, or not within its limits, is refused, in both directions.
//! * What a rule asks a person about is sent only after that person said yes to the very call (`approval.rs`).
//! * A session's id is good for the sandbox and binding that began it.

mod answer;
mod clear;
mod content_type;
mod decide;
mod events;
mod held;
mod json;
mod list;
mod message;
mod refuse;
mod session;
mod tools;

#[cfg(test)]
mod tests;

pub use answer::Filter;
pub use clear::{Cleared, Desk, Exchange, clear};
use decide::tool_rule;
pub(crate) use held::Held;
pub(crate) use message::Message;
pub(crate) use refuse::no_login;
pub use session::State;
pub use tools::list as list_tools;
