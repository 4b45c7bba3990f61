//! Where sandboxes may go: policies and rules of a tenant, a workspace and a sandbox, what they come to
//! for one sandbox, and what was refused or seen and has no rule yet.
//!
//! INVARIANT: what is stored here compiles at the broker ([`rule::check`] is at least as strict), and a
//! change is in force in every sandbox it reaches when the call that made it answers, or nothing changed.

pub mod change;
pub mod effective;
pub mod hosts;
mod place;
pub mod rule;

pub use effective::Effective;
pub use place::Place;
