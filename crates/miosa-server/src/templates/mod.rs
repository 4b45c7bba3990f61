//! Templates: what a sandbox is made from.
//!
//! Three sources, first one wins: shipped with the program, the operator's folder, the tenant's own
//! rows. A template's layers are known from its specification alone, before anything is built:
//! [`image`] tells them, [`ensure`] makes them.

pub mod catalogue;
pub mod definition;
pub mod validate;

use std::collections::BTreeMap;
use std::path::PathBuf;

use miosa_api::error::ErrorCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use catalogue::{Catalogue, catalogue};

use crate::builder::{self, Failure};
use crate::{ApiError, App};

/// Virtual CPUs, memory and disk (MiB) where neither template nor caller says.
const DEFAULT_CPU: u32 = 2;
const DEFAULT_MEMORY_MB: u32 = 2048;
const DEFAULT_DISK_MB: u32 = 10_240;

/// A template as a sandbox needs it. Stored with the sandbox: its disk lies over these layers.
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
    /// Exits 0 when the application is ready.
    #[serde(default)]
    pub ready_cmd: Option<String>,
    /// Port of the application.
    pub preview_port: Option<u16>,
    /// Virtual CPUs when the caller names none.
    pub default_cpu: u32,
    /// Memory in MiB when the caller names none.
    pub default_memory_mb: u32,
    /// Disk in MiB when the caller names none.
    pub default_disk_mb: u32,
}

/// What a template's sandboxes lie on, built or not. `TEMPLATE_NOT_FOUND` for an unknown id.
pub async fn image(app: &App, tenant_id: &str, id: &str) -> Result<TemplateImage, ApiError> {
    catalogue(app, tenant_id).await?.image(app, id)
}

/// Whether the layers are all there.
#[must_use]
pub fn is_ready(image: &TemplateImage) -> bool {
    image.layers.iter().all(|layer| layer.is_dir())
}

/// [`image`], built: waits for a build if there is one, starts one if not.
/// `TEMPLATE_NOT_READY` when the build fails, with the reason and the last lines of output.
pub async fn ensure(app: &App, tenant_id: &str, id: &str) -> Result<TemplateImage, ApiError> {
    let catalogue = catalogue(app, tenant_id).await?;
    let image = catalogue.image(app, id)?;
    if is_ready(&image) {
        return Ok(image);
    }
    let entry = catalogue.get(id)?;
    let plan = catalogue.plan(&entry.definition.spec)?;
    let build = builder::build(app, tenant_id, &entry.definition.id, plan).await?;
    match build.wait().await {
        Ok(()) => Ok(image),
        Err(failure) => Err(not_ready(&entry.definition.id, &failure)),
    }
}

fn not_ready(id: &str, failure: &Failure) -> ApiError {
    ApiError::new(
        ErrorCode::TemplateNotReady,
        format!("the template {id} could not be built: {}", failure.reason),
    )
    .with_hint(format!(
        "GET /sandbox-template-builds/{} has the whole output",
        failure.build_id
    ))
    .with_details(json!({
        "template_id": id,
        "build_id": failure.build_id,
        "reason": failure.reason,
        "output": failure.tail,
    }))
}
