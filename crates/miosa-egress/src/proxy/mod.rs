//! The broker as an explicit HTTP proxy: for callers outside a sandbox, whose connections nothing redirects.
//!
//! A caller says by `CONNECT host:port` (or by an absolute `http` address) what a sandbox says by looking a name up and
//! dialling the address it got. That name is put into the listener's own table of names, and everything behind is the
//! same code: the TLS server name must equal it, the broker resolves it, policy decides, a credential goes where it
//! is bound.
//!
//! SECURITY: the listener is the caller's identity, as in a sandbox. No header of a caller says who it is;
//! `Proxy-Authorization` is not read.

mod accept;
mod asked;
mod serve;

pub use accept::{Door, accept_all};
