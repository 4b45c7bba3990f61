//! Typed client of the miosa API, as the CLI and the MCP server use it.
//!
//! Read in this order: [`Endpoint`] (which server), [`Client`] (who asks, how requests are sent and
//! repeated), [`Answer`] (what came back, raw and typed), then one file per noun with one method per
//! route. Everything here goes over the public API; nothing knows the server's insides.
//!
//! Invariants: the API key is in one header value that is marked sensitive, and in no `Debug` text; a
//! request is repeated only if it is idempotent by its method or carries an idempotency key.

mod answer;
mod approval;
mod call;
mod client;
mod command;
mod connector;
mod egress;
mod endpoint;
mod env;
mod error;
mod exec;
mod file;
mod identity;
mod network;
mod path;
mod preview;
mod run;
mod sandbox;
mod service;
mod snapshot;
mod sse;
mod template;

pub use answer::Answer;
pub use client::{Client, ClientBuilder};
pub use connector::{NewConnector, TokenQuery};
pub use egress::AuditQuery;
pub use endpoint::Endpoint;
pub use error::ClientError;
pub use identity::{DeviceLogin, DeviceToken};
pub use path::path_segment;
pub use preview::Probe;
pub use run::RunQuery;
pub use sandbox::SandboxQuery;
pub use sse::{EventStream, SseEvent};
