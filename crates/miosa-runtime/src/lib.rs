//! What isolates a sandbox. The server speaks to the trait [`Runtime`] and knows nothing below it.
//!
//! A runtime never holds a secret: it starts processes in namespaces with limits, hands the
//! sandbox's listeners to the broker, and gives the host a socket to the guest agent.
//!
//! [`Container`] is the one runtime so far. It starts a shim ([`shim_main`]) for each sandbox, which
//! outlives the server; everything the server needs to find it again is in the sandbox's folder.

mod bundle;
mod cgroup;
mod config;
mod container;
mod disk;
mod error;
mod files;
mod probe;
mod process;
mod runtime;
mod shim;
mod sys;
mod uids;

pub use config::RuntimeConfig;
pub use container::Container;
pub use error::RuntimeError;
pub use runtime::{BoxFuture, Found, Network, Runtime, SandboxSpec, Started, Taken, Upper, Usage};
pub use shim::{is_broker_listener, shim_main};
