//! The transport's contract through a real server over real HTTP: the description of the API, keys,
//! errors, idempotency, pages, and that no tenant sees another's things.

#![expect(
    clippy::unwrap_used,
    reason = "tests are tables, and a step that fails is the test's failure"
)]

mod document;
mod idempotency;
mod isolation;
mod keys;
mod transport;

#[expect(dead_code, reason = "shared with the tests of connectors")]
#[path = "../connect/world.rs"]
mod world;
