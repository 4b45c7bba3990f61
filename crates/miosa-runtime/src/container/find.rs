//! Finding sandboxes and their ends.

use std::collections::BTreeMap;

use miosa_api::id::SandboxId;

use super::stop::owner;
use super::{Inner, group};
use crate::disk::BLANK_PREFIX;
use crate::error::{RuntimeError, Step};
use crate::files::{Ended, is_plain, read_json};
use crate::runtime::Found;

/// Everything on this host: folders of sandboxes, and disks without one.
pub(super) fn list(inner: &Inner) -> Result<Vec<Found>, RuntimeError> {
    let mut found = BTreeMap::new();
    for id in names(&inner.config.disks(), ".img")? {
        if !id.as_str().starts_with(BLANK_PREFIX) {
            found.insert(
                id.clone(),
                Found {
                    id,
                    generation: 0,
                    alive: false,
                    frozen: false,
                },
            );
        }
    }
    for id in names(&inner.config.sandboxes(), "")? {
        let state = inner.state(&id).unwrap_or_else(|error| {
            tracing::warn!(sandbox = %id, %error, "unreadable state of a sandbox");
            None
        });
        let alive = state.is_some_and(|state| state.init.is_some_and(|init| init.alive()));
        let frozen = alive && inner.cgroups.frozen(&group(&id));
        let generation = state.map_or(0, |state| state.generation);
        found.insert(
            id.clone(),
            Found {
                id,
                generation,
                alive,
                frozen,
            },
        );
    }
    Ok(found.into_values().collect())
}

fn names(dir: &std::path::Path, suffix: &str) -> Result<Vec<SandboxId>, RuntimeError> {
    let step = "listing sandboxes";
    let mut ids = Vec::new();
    for entry in fs_err::read_dir(dir).step(step)? {
        let name = entry.step(step)?.file_name();
        let id = name
            .to_str()
            .and_then(|name| name.strip_suffix(suffix))
            .and_then(owner)
            .map(SandboxId::from);
        ids.extend(id.filter(is_plain));
    }
    Ok(ids)
}

/// Waits for the end of the sandbox's shim and says why it ended.
pub(super) async fn wait_exit(inner: &Inner, id: &SandboxId) -> String {
    let state = match inner.state(id) {
        Ok(state) => state,
        Err(error) => return error.in_words(),
    };
    if let Some(shim) = state.and_then(|state| state.shim.open())
        && let Err(error) = crate::sys::pidfd::ended(shim).await
    {
        return format!("waiting for the sandbox failed: {error}");
    }
    let ended = inner
        .files(id)
        .and_then(|files| read_json(&files.exit()).step("reading how it ended"));
    match ended {
        Ok(Some(Ended { reason })) => reason,
        Ok(None) => match state {
            Some(_) => "its shim was killed".to_owned(),
            None => "it was not running".to_owned(),
        },
        Err(error) => error.in_words(),
    }
}
