//! Template builds.

use crate::App;

/// Starts what builds templates. Called once at start.
pub async fn start(_app: &App) {}
