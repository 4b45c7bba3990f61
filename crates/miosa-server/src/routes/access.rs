//! Finds the sandbox a route is about: the caller's, and in a state that fits.

use miosa_api::error::ErrorCode;
use miosa_api::sandbox::SandboxState;
use serde_json::json;

use crate::auth::Caller;
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App};

/// The caller's sandbox. A foreign one is like none.
pub(crate) async fn sandbox(app: &App, caller: &Caller, id: &str) -> Result<SandboxRow, ApiError> {
    sandboxes::get(&app.pool, &caller.tenant_id, id)
        .await?
        .ok_or_else(|| {
            ApiError::not_found("sandbox", id)
                .with_hint("`miosa sandbox list` shows the sandboxes of this tenant")
        })
}

/// The caller's sandbox, running. Counts as a use of it.
pub(crate) async fn running(app: &App, caller: &Caller, id: &str) -> Result<SandboxRow, ApiError> {
    let row = sandbox(app, caller, id).await?;
    let (code, hint) = match row.state() {
        SandboxState::Running => {
            app.activity.touch(id);
            return Ok(row);
        }
        SandboxState::Creating => (
            ErrorCode::SandboxNotCommandReady,
            "wait until it is running: `miosa sandbox wait`".to_owned(),
        ),
        SandboxState::Paused | SandboxState::Stopped => (
            ErrorCode::SandboxNotRunning,
            format!("`miosa sandbox resume {id}` lets it go on"),
        ),
        SandboxState::Error => (
            ErrorCode::SandboxNotRunning,
            format!("`miosa sandbox show {id}` says why in metadata.last_error"),
        ),
        SandboxState::Destroyed => (
            ErrorCode::SandboxNotRunning,
            "create another one".to_owned(),
        ),
    };
    Err(
        ApiError::new(code, format!("sandbox {id} is {}", row.state))
            .with_hint(hint)
            .with_details(json!({ "state": row.state })),
    )
}
