//! The kernel interfaces no safe crate wraps: the only place of this crate with `unsafe`.
//!
//! Each file is one interface with a safe function or type over it; everything else in the crate
//! goes through `rustix` or the standard library.

pub(crate) mod clone;
pub(crate) mod fds;
pub(crate) mod loopdev;
pub(crate) mod mount;
pub(crate) mod pidfd;
pub(crate) mod signal;
