//! Runs of agents.

use crate::App;

/// Takes up runs that were under way when the server ended. Called once at start.
pub async fn resume(_app: &App) {}
