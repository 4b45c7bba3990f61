//! The life of a sandbox: [`state`] says what may happen, [`driver`] makes it happen.

mod driver;

pub use driver::Drivers;
