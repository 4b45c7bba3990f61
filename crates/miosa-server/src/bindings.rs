//! Connectors attached to sandboxes.

use std::collections::BTreeMap;

use miosa_api::broker::BindingPolicy;

use crate::{ApiError, App};

/// Variables of a sandbox's live bindings with what stands in its environment.
pub async fn placeholders(
    _app: &App,
    _sandbox_id: &str,
) -> Result<BTreeMap<String, String>, ApiError> {
    Ok(BTreeMap::new())
}

/// A sandbox's live bindings as the broker needs them.
pub async fn binding_policies(
    _app: &App,
    _sandbox_id: &str,
) -> Result<Vec<BindingPolicy>, ApiError> {
    Ok(Vec::new())
}

/// Removes a destroyed sandbox's bindings.
pub async fn forget(_app: &App, _sandbox_id: &str) -> Result<(), ApiError> {
    Ok(())
}
