//! The control plane: HTTP API, store, lifecycle of sandboxes.
//!
//! Decides who may do what and keeps the truth in a database. It holds only the *sealing* half of
//! the vault's key: it can lock a secret away and can never open one. What runs is started by a
//! [`miosa_runtime::Runtime`]; what leaves a sandbox is decided by the broker, another process.
//!
//! Entry point: [`run`]. One file per noun in `routes` (HTTP), `store` (SQL) and here (the rest).

mod activity;
mod admission;
pub mod agents;
mod app;
pub mod audit;
pub mod auth;
pub mod bindings;
pub mod broker;
pub mod builder;
pub mod clock;
mod command;
pub mod config;
pub mod connectors;
pub mod device_login;
pub mod env;
pub mod error;
pub mod events;
pub mod guest;
pub mod http;
mod isolation;
pub mod lifecycle;
mod locks;
pub mod network;
pub mod oci;
pub mod policy;
pub mod preflight;
pub mod preview;
mod process_output;
mod routes;
pub mod runs;
mod serve;
mod services;
mod settings;
pub mod snapshots;
pub mod store;
pub mod templates;
mod unix;
pub mod view;

pub use app::{App, Dependencies};
pub use config::Config;
pub use error::ApiError;
pub use routes::openapi;
pub use serve::{ServeError, run};
