//! Transport rules every route shares: request ids, JSON, pages, envelopes, idempotency, hosts.

pub mod entry;
pub mod idempotency;
pub mod json;
pub mod lines;
pub mod page;
pub mod request_id;
pub mod sse;
