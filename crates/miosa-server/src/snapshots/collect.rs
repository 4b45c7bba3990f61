//! Removing snapshots, and the disks nothing lies over any more.

use std::collections::BTreeSet;

use serde_json::json;

use super::references;
use crate::clock::now_ms;
use crate::store::sandboxes;
use crate::store::snapshots::{self, GONE, MAKING, SnapshotRow};
use crate::{ApiError, App, events};

/// Deletes a snapshot: it is listed no more, and nothing new lies over it. What does already goes on.
pub async fn delete(app: &App, row: &SnapshotRow) -> Result<(), ApiError> {
    snapshots::set_state(&app.pool, &row.id, GONE).await?;
    let facts = json!({ "snapshot_id": row.id });
    events::emit(
        app,
        &row.tenant_id,
        &row.sandbox_id,
        "sandbox.snapshot.deleted",
        facts,
    )
    .await;
    collect(app).await
}

/// Removes every disk that nothing lies over, and the rows that are gone with it.
pub async fn collect(app: &App) -> Result<(), ApiError> {
    let _nobody_begins = references().await;
    let mut needed = BTreeSet::new();
    for row in sandboxes::live(&app.pool).await? {
        needed.extend(row.below());
    }
    let rows = snapshots::all(&app.pool).await?;
    for row in rows.iter().filter(|row| row.state != GONE) {
        needed.extend(row.stack());
    }
    for name in app.runtime.snapshots().await? {
        if !needed.contains(&name) {
            app.runtime.remove_snapshot(&name).await?;
        }
    }
    for row in rows.iter().filter(|row| !needed.contains(&row.id)) {
        snapshots::remove(&app.pool, &row.id).await?;
    }
    Ok(())
}

/// Removes what an ended server left half done. Called at start, before the first request.
pub async fn recover(app: &App) -> Result<(), ApiError> {
    for row in snapshots::all(&app.pool).await? {
        if row.state == MAKING {
            snapshots::set_state(&app.pool, &row.id, GONE).await?;
        }
    }
    collect(app).await
}

/// Deletes what is over, and collects what a failure left.
pub(crate) async fn sweep(app: &App) -> Result<(), ApiError> {
    snapshots::expire(&app.pool, now_ms()).await?;
    collect(app).await
}
