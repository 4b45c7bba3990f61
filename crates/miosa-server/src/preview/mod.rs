//! Previews: a sandbox's port under a host name of its own, so that each is an origin of its own.
//!
//! Only exposed ports of running sandboxes are served; a private one needs a token, which is kept as
//! a hash and never reaches the application.

pub mod expose;
mod headers;
pub mod host;
mod page;
mod relay;
mod serve;

pub use host::Target;
pub use serve::serve;

use crate::store::{previews as store, sandboxes};
use crate::{ApiError, App};

/// Reads `[<port>-]<slug>.sandbox.<preview_domain>`; `None` for every other host.
#[must_use]
pub fn target_of(app: &App, host: &str) -> Option<Target> {
    host::parse(host, &app.config.preview_domain)
}

/// Address of the first exposed port of a sandbox.
pub async fn first_url(app: &App, sandbox_id: &str) -> Result<Option<String>, ApiError> {
    let Some(preview) = store::find(&app.pool, sandbox_id, None).await? else {
        return Ok(None);
    };
    let sandbox = sandboxes::get_any(&app.pool, sandbox_id).await?;
    Ok(sandbox.map(|sandbox| expose::shown(app, &sandbox, &preview).url))
}

/// Variable that tells an application the host its previews are under; ports come before it: `<port>-<host>`.
#[must_use]
pub fn env(app: &App, slug: &str) -> (String, String) {
    (
        "MIOSA_PREVIEW_HOST".to_owned(),
        host::format(None, slug, &app.config.preview_domain),
    )
}
