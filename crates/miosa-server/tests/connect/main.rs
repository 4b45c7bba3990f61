//! Connectors, bindings, runs and audit through a real server over real HTTP, with a temporary SQLite.
//!
//! There is no broker and no sandbox here: what needs them must be refused in the right words and leave
//! nothing behind. What works with them is tested end to end.

#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "tests are tables, and a step that fails is the test's failure"
)]

mod approvals;
mod audit;
mod bindings;
mod broker;
mod connectors;
mod loosening;
mod policies;
mod previews;
mod runs;
mod secrets;
mod world;
