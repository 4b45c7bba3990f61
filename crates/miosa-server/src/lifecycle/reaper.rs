//! Ends what is due: lifetimes, idle sandboxes, what a failed removal left, old records.

use std::time::Duration;

use miosa_api::id::SandboxId;
use miosa_api::limits::IDEMPOTENCY_TTL;
use miosa_api::sandbox::SandboxState;

use super::driver::{Cause, order, remove};
use super::state::Event;
use crate::clock::now_ms;
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, snapshots, store};

const EVERY: Duration = Duration::from_secs(1);
/// Rounds between two sweeps over leftovers and old records.
const SWEEP_ROUNDS: u64 = 60;
const EVENTS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Runs until the server ends.
pub(crate) async fn reap(app: App) {
    let mut round = 0;
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        round += 1;
        let done = async {
            end_what_is_due(&app).await?;
            if round % SWEEP_ROUNDS == 0 {
                sweep(&app).await?;
            }
            Ok::<_, ApiError>(())
        };
        if let Err(error) = done.await {
            tracing::error!(%error, "the reaper's round failed");
        }
    }
}

async fn end_what_is_due(app: &App) -> Result<(), ApiError> {
    for row in sandboxes::live(&app.pool).await? {
        if let Some(last) = app
            .activity
            .last_ms(&row.id)
            .filter(|last| *last > row.last_active_at)
        {
            sandboxes::save_activity(&app.pool, &row.id, last).await?;
        }
        let Some(cause) = due(&row, app.activity.last_ms(&row.id), now_ms()) else {
            continue;
        };
        let event = if row.persistent != 0 {
            Event::Pause
        } else {
            Event::Destroy
        };
        let app = app.clone();
        app.tasks
            .clone()
            .spawn(async move { order(&app, &row.id, event, cause).await });
    }
    Ok(())
}

/// Whether a sandbox's time is over, and why.
fn due(row: &SandboxRow, last_used_ms: Option<i64>, now_ms: i64) -> Option<Cause> {
    let (running, paused) = (
        row.state() == SandboxState::Running,
        row.state() == SandboxState::Paused,
    );
    let expired = row.expires_at.is_some_and(|at| at <= now_ms);
    if expired && (running || (paused && row.persistent == 0)) {
        return Some(Cause::Timeout);
    }
    let last = row.last_active_at.max(last_used_ms.unwrap_or(0));
    let idle = row
        .idle_timeout_sec
        .is_some_and(|seconds| last + seconds * 1000 <= now_ms);
    (running && idle && row.always_on == 0).then_some(Cause::Idle)
}

async fn sweep(app: &App) -> Result<(), ApiError> {
    for found in app.runtime.list().await? {
        let row = sandboxes::get_any(&app.pool, found.id.as_str()).await?;
        if let Some(row) = row.filter(|row| row.state() == SandboxState::Destroyed) {
            tracing::warn!(
                sandbox = row.id,
                "removing what is left of a destroyed sandbox"
            );
            remove(app, &row).await?;
            app.runtime
                .destroy(&SandboxId::from(row.id.as_str()))
                .await?;
        }
    }
    snapshots::sweep(app).await?;
    let before = |kept: Duration| now_ms() - i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    store::events::prune(&app.pool, before(EVENTS_KEPT)).await?;
    store::idempotency::prune(&app.pool, before(IDEMPOTENCY_TTL)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Cause, due};
    use crate::store::sandboxes::SandboxRow;

    fn running() -> SandboxRow {
        SandboxRow {
            state: "running".to_owned(),
            persistent: 1,
            expires_at: Some(10_000),
            idle_timeout_sec: Some(5),
            last_active_at: 1_000,
            ..SandboxRow::default()
        }
    }

    #[test]
    fn a_lifetime_ends_at_its_end_and_not_before() {
        let busy = Some(9_999);
        assert_eq!(due(&running(), busy, 9_999), None);
        assert_eq!(due(&running(), busy, 10_000), Some(Cause::Timeout));
    }

    #[test]
    fn idle_counts_from_the_last_use_and_not_when_always_on() {
        assert_eq!(due(&running(), None, 6_000), Some(Cause::Idle));
        assert_eq!(due(&running(), Some(2_000), 6_000), None);
        let always = SandboxRow {
            always_on: 1,
            ..running()
        };
        assert_eq!(due(&always, None, 6_000), None);
    }

    #[test]
    fn a_paused_sandbox_is_destroyed_only_when_it_is_not_persistent() {
        let paused = SandboxRow {
            state: "paused".to_owned(),
            ..running()
        };
        assert_eq!(due(&paused, None, 20_000), None);
        let fleeting = SandboxRow {
            persistent: 0,
            ..paused
        };
        assert_eq!(due(&fleeting, None, 20_000), Some(Cause::Timeout));
    }
}
