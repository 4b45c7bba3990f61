//! Previews: a sandbox's port under a host name.

pub mod host;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use miosa_api::error::ErrorCode;

pub use host::Target;

use crate::{ApiError, App};

/// Reads `[<port>-]<slug>.sandbox.<preview_domain>`; `None` for every other host.
#[must_use]
pub fn target_of(app: &App, host: &str) -> Option<Target> {
    host::parse(host, &app.config.preview_domain)
}

/// Relays a request to the sandbox's port.
pub async fn serve(_app: App, _target: Target, _request: Request) -> Response {
    ApiError::new(ErrorCode::PreviewNotListening, "previews are not served").into_response()
}

/// Address of the first exposed port of a sandbox.
pub async fn first_url(_app: &App, _sandbox_id: &str) -> Result<Option<String>, ApiError> {
    Ok(None)
}
