//! Previews: a sandbox's port under a host name.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use miosa_api::error::ErrorCode;

use crate::{ApiError, App};

/// Which sandbox's port a host name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Port inside.
    pub port: u16,
    /// The sandbox's slug.
    pub slug: String,
}

/// Reads `<port>-<slug>.sandbox.<preview_domain>`; `None` for every other host.
#[must_use]
pub fn target_of(_app: &App, _host: &str) -> Option<Target> {
    None
}

/// Relays a request to the sandbox's port.
pub async fn serve(_app: App, _target: Target, _request: Request) -> Response {
    ApiError::new(ErrorCode::PreviewNotListening, "previews are not served").into_response()
}

/// Address of the first exposed port of a sandbox.
pub async fn first_url(_app: &App, _sandbox_id: &str) -> Result<Option<String>, ApiError> {
    Ok(None)
}
