//! Templates: what a sandbox is made from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use miosa_api::error::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::{ApiError, App};

/// A built template as a sandbox needs it. Stored with the sandbox: its disk lies over these layers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateImage {
    /// Content hash.
    pub image_id: String,
    /// Read-only layers, topmost first.
    pub layers: Vec<PathBuf>,
    /// Variables of every command.
    pub env: BTreeMap<String, String>,
    /// Working directory of every command.
    pub workdir: String,
    /// Hosts its sandboxes need under `deny-all`.
    pub hosts: Vec<String>,
    /// Starts the application.
    pub start_cmd: Option<String>,
    /// Port of the application.
    pub preview_port: Option<u16>,
    /// Virtual CPUs when the caller names none.
    pub default_cpu: u32,
    /// Memory in MiB when the caller names none.
    pub default_memory_mb: u32,
    /// Disk in MiB when the caller names none.
    pub default_disk_mb: u32,
}

/// A ready template's content; `TEMPLATE_NOT_FOUND` or `TEMPLATE_NOT_READY` otherwise.
pub async fn layers(_app: &App, id: &str) -> Result<TemplateImage, ApiError> {
    Err(ApiError::new(
        ErrorCode::TemplateNotFound,
        format!("there is no template {id}"),
    ))
}
