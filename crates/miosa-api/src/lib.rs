//! The contracts of miosa: what crosses a process boundary, and nothing else.
//!
//! Three kinds of types live here, each with its own audience:
//!
//! * the **public API** (`sandbox`, `exec`, `file`, `connector`, `preflight`, `run`, `template`, `preview`,
//!   `event`, `audit`, `egress`, `identity`, `workspace`): what CLI, SDKs and MCP speak with the control plane;
//! * the **guest protocol** (`guest`): what the host speaks with the guest agent in a sandbox;
//! * the **broker protocol** (`broker`): what server and shim speak with the egress broker.
//!
//! No I/O, no runtime, no secrets: a type in this crate may always be logged.

pub mod approval;
pub mod audit;
pub mod audit_chain;
pub mod broker;
pub mod budget;
pub mod connector;
pub mod egress;
pub mod env;
pub mod error;
pub mod event;
pub mod exec;
pub mod file;
pub mod guest;
pub mod id;
pub mod identity;
pub mod limits;
pub mod mcp;
pub mod preflight;
pub mod preview;
pub mod run;
pub mod sandbox;
pub mod snapshot;
pub mod template;
pub mod workspace;

use serde::{Deserialize, Serialize};

/// The envelope of an answer: `{"data": …}`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Data<T> {
    /// The answer itself.
    pub data: T,
}

impl<T> Data<T> {
    /// Wraps an answer.
    pub const fn new(data: T) -> Self {
        Self { data }
    }
}

/// The envelope of a list: `{"data": […], "page": {…}}`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct List<T> {
    /// The rows of this page.
    pub data: Vec<T>,
    /// Where this page stands in the whole.
    pub page: Page,
}

/// Position of a page in a list. Pages are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page {
    /// Number of this page, from 1.
    pub page: u32,
    /// Rows a page.
    pub page_size: u32,
    /// Rows in all pages.
    pub total: u64,
}
