//! The life of a sandbox: [`state`] says what may happen, [`driver`] makes it happen one at a time,
//! [`boot`] starts processes, [`reaper`] ends what is due, [`reconcile`] repairs what a crash left.

mod boot;
mod driver;
mod reaper;
mod reconcile;
pub mod state;

pub(crate) use boot::APPLICATION;
pub use driver::{Cause, Drivers, order, restore, snapshot};
pub(crate) use reaper::reap;
pub(crate) use reconcile::reconcile;
