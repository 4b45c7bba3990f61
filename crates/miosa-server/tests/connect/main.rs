//! Connectors, bindings, runs and audit through a real server over real HTTP, with a temporary SQLite.
//!
//! There is no broker and no sandbox here: what needs them must be refused in the right words and leave
//! nothing behind. What works with them is tested end to end.

mod audit;
mod bindings;
mod connectors;
mod runs;
mod world;
