//! Compares database and host at start, and makes both say the same.
//!
//! The database is the truth about what *shall* be, the host about what *is*. Whatever the server
//! was doing when it was killed, afterwards every process and disk belongs to a live row, and every
//! row that says `running` or `paused` has its processes.

use std::collections::HashMap;

use miosa_api::id::SandboxId;
use miosa_api::sandbox::SandboxState;
use miosa_runtime::Found;

use super::boot::clean_up;
use super::driver::{free_name, remove, set_last_error, watch};
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, events};

/// What to do about one sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repair {
    /// As it shall be.
    Nothing,
    /// It runs: watch it.
    Adopt,
    /// It runs, in another state than the row says.
    AdoptAs(SandboxState),
    /// It was held still for a snapshot, or for a pause that nobody was told of: it goes on.
    Thaw,
    /// End its processes, keep disk and state.
    Halt,
    /// Its processes are gone.
    Lost,
    /// It was being made.
    HalfMade,
    /// It belongs to nobody.
    Remove,
}

fn repair(row: Option<SandboxState>, found: Option<&Found>) -> Repair {
    let alive = found.filter(|found| found.alive);
    match (row, alive) {
        (None | Some(SandboxState::Destroyed), _) => {
            if found.is_some() {
                Repair::Remove
            } else {
                Repair::Nothing
            }
        }
        (Some(SandboxState::Creating), _) => Repair::HalfMade,
        (Some(SandboxState::Running), Some(found)) if found.frozen => Repair::Thaw,
        (Some(SandboxState::Paused), Some(found)) if !found.frozen => {
            Repair::AdoptAs(SandboxState::Running)
        }
        (Some(SandboxState::Running | SandboxState::Paused), Some(_)) => Repair::Adopt,
        (Some(SandboxState::Running | SandboxState::Paused), None) => Repair::Lost,
        (Some(SandboxState::Stopped | SandboxState::Error), Some(_)) => Repair::Halt,
        (Some(SandboxState::Stopped | SandboxState::Error), None) => Repair::Nothing,
    }
}

/// Repairs everything. Runs before the first request is taken.
pub(crate) async fn reconcile(app: &App) -> Result<(), ApiError> {
    let mut found: HashMap<String, Found> = app
        .runtime
        .list()
        .await?
        .into_iter()
        .map(|found| (found.id.as_str().to_owned(), found))
        .collect();
    for row in sandboxes::live(&app.pool).await? {
        let here = found.remove(&row.id);
        let id = row.id.clone();
        let what = repair(Some(row.state()), here.as_ref());
        if let Err(error) = apply(app, row, what).await {
            tracing::error!(sandbox = id, ?what, %error, "a sandbox could not be repaired");
        }
    }
    for id in found.into_keys() {
        tracing::warn!(sandbox = id, "removing a sandbox that belongs to nobody");
        let removed = match sandboxes::get_any(&app.pool, &id).await? {
            Some(row) => app.runtime.destroy(&SandboxId::from(row.id.as_str())).await,
            None => app.runtime.destroy(&SandboxId::from(id.as_str())).await,
        };
        if let Err(error) = removed {
            tracing::error!(sandbox = id, %error, "a sandbox could not be removed");
        }
    }
    Ok(())
}

async fn apply(app: &App, mut row: SandboxRow, what: Repair) -> Result<(), ApiError> {
    let id = SandboxId::from(row.id.as_str());
    match what {
        Repair::Nothing => {}
        Repair::Adopt => {
            ask_what_it_speaks(app, &row).await?;
            watch(app, &row);
        }
        Repair::AdoptAs(state) => {
            state.as_str().clone_into(&mut row.state);
            sandboxes::save_life(&app.pool, &row).await?;
            watch(app, &row);
        }
        Repair::Thaw => {
            app.runtime.thaw(&id).await?;
            ask_what_it_speaks(app, &row).await?;
            watch(app, &row);
        }
        Repair::Halt => app.runtime.stop(&id).await?,
        Repair::Lost => {
            app.runtime.stop(&id).await?;
            fail(app, row, "its processes ended while the server was down").await?;
        }
        Repair::HalfMade => {
            clean_up(app, &row).await;
            free_name(app, &mut row).await?;
            fail(app, row, "the server ended while it was being started").await?;
        }
        Repair::Remove => remove(app, &row).await?,
    }
    Ok(())
}

/// A guest agent that an older server started was never asked: it is now, before the broker is told of its
/// bindings. One that stands still cannot answer, and counts as the oldest.
async fn ask_what_it_speaks(app: &App, row: &SandboxRow) -> Result<(), ApiError> {
    if row.guest_protocol.is_some() {
        return Ok(());
    }
    let spoken = match row.state() {
        SandboxState::Running => app.guest(&row.id).health().await.map_or(0, |h| h.protocol),
        _ => 0,
    };
    sandboxes::save_guest_protocol(&app.pool, &row.id, Some(i64::from(spoken))).await?;
    Ok(())
}

async fn fail(app: &App, mut row: SandboxRow, reason: &str) -> Result<(), ApiError> {
    set_last_error(&mut row, reason);
    SandboxState::Error.as_str().clone_into(&mut row.state);
    row.expires_at = None;
    sandboxes::save_life(&app.pool, &row).await?;
    events::emit(
        app,
        &row.tenant_id,
        &row.id,
        "sandbox.error",
        serde_json::json!({ "reason": reason }),
    )
    .await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use miosa_api::sandbox::SandboxState::{Creating, Destroyed, Error, Paused, Running, Stopped};
    use miosa_runtime::Found;

    use super::{Repair, repair};

    fn found(alive: bool, frozen: bool) -> Found {
        Found {
            id: "s".into(),
            generation: 1,
            alive,
            frozen,
        }
    }

    #[test]
    fn every_pair_of_row_and_host_has_its_repair() {
        let alive = found(true, false);
        let frozen = found(true, true);
        let dead = found(false, false);
        for (row, here, want) in [
            (None, Some(&alive), Repair::Remove),
            (None, Some(&dead), Repair::Remove),
            (Some(Destroyed), Some(&alive), Repair::Remove),
            (Some(Destroyed), None, Repair::Nothing),
            (Some(Creating), Some(&alive), Repair::HalfMade),
            (Some(Creating), None, Repair::HalfMade),
            (Some(Running), Some(&alive), Repair::Adopt),
            (Some(Running), Some(&frozen), Repair::Thaw),
            (Some(Running), Some(&dead), Repair::Lost),
            (Some(Running), None, Repair::Lost),
            (Some(Paused), Some(&frozen), Repair::Adopt),
            (Some(Paused), Some(&alive), Repair::AdoptAs(Running)),
            (Some(Stopped), Some(&alive), Repair::Halt),
            (Some(Stopped), Some(&dead), Repair::Nothing),
            (Some(Error), None, Repair::Nothing),
        ] {
            assert_eq!(repair(row, here), want, "{row:?} {here:?}");
        }
    }
}
