//! Taking snapshots, and going back to one.
//!
//! The row comes first (`making`), then the disk, then the row is `ready`: a server that dies in between
//! finds a row that is nobody's, and removes it with its disk. One made for a fork stays `making` until the
//! new sandbox is written down, and is kept by that alone from then on.

use miosa_api::error::ErrorCode;
use miosa_api::id::SandboxId;
use miosa_api::limits::{
    SNAPSHOT_BYTES_PER_TENANT_MAX, SNAPSHOT_COMMENT_CHARS_MAX, SNAPSHOT_DEPTH_MAX,
    SNAPSHOTS_PER_TENANT_MAX,
};
use miosa_api::sandbox::SandboxState;
use miosa_api::snapshot::CreateSnapshot;
use miosa_runtime::RuntimeError;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Manifest, references};
use crate::clock::now_ms;
use crate::lifecycle;
use crate::store::sandboxes::{self, SandboxRow};
use crate::store::snapshots::{self, KEPT, MAKING, READY, SnapshotRow};
use crate::{ApiError, App, events};

/// A tenant's snapshot that its lists show. A foreign one is like none.
pub async fn find(app: &App, tenant_id: &str, id: &str) -> Result<SnapshotRow, ApiError> {
    snapshots::get(&app.pool, tenant_id, id)
        .await?
        .filter(|row| row.kind == KEPT)
        .ok_or_else(|| {
            ApiError::not_found("snapshot", id)
                .with_hint("`miosa sandbox snapshot list <sandbox>` shows those of a sandbox")
        })
}

/// Takes a snapshot that is listed.
pub async fn keep(
    app: &App,
    sandbox: &SandboxRow,
    asked: CreateSnapshot,
) -> Result<SnapshotRow, ApiError> {
    let too_long = |text: &String| text.chars().count() > SNAPSHOT_COMMENT_CHARS_MAX;
    if asked.comment.as_ref().is_some_and(too_long) {
        let why = format!("it is longer than {SNAPSHOT_COMMENT_CHARS_MAX} characters");
        return Err(ApiError::invalid("comment", why));
    }
    let lives = asked.expiration.as_ref().map(seconds).transpose()?;
    let now = now_ms();
    take(
        app,
        sandbox,
        SnapshotRow {
            kind: KEPT.to_owned(),
            comment: asked.comment,
            expires_at: lives.map(|seconds| now.saturating_add(seconds.saturating_mul(1000))),
            ..SnapshotRow::default()
        },
    )
    .await
}

/// Seconds of `3600`, `"3600"`, `"90s"`, `"15m"`, `"2h"` or `"14d"`.
fn seconds(value: &Value) -> Result<i64, ApiError> {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    let (number, unit) = match text.trim().char_indices().last() {
        Some((at, 's')) => (&text.trim()[..at], 1),
        Some((at, 'm')) => (&text.trim()[..at], 60),
        Some((at, 'h')) => (&text.trim()[..at], 3600),
        Some((at, 'd')) => (&text.trim()[..at], 86_400),
        _ => (text.trim(), 1),
    };
    let seconds = number.parse::<i64>().ok().and_then(|n| n.checked_mul(unit));
    seconds.filter(|seconds| *seconds > 0).ok_or_else(|| {
        ApiError::invalid(
            "expiration",
            "it is seconds, or a number with s, m, h or d, such as 14d",
        )
    })
}

/// Takes a snapshot of a sandbox as it is now; `draft` says of which kind.
pub(super) async fn take(
    app: &App,
    sandbox: &SandboxRow,
    draft: SnapshotRow,
) -> Result<SnapshotRow, ApiError> {
    may_be_taken(app, sandbox, &draft.kind).await?;
    let row = SnapshotRow {
        id: Uuid::now_v7().to_string(),
        tenant_id: sandbox.tenant_id.clone(),
        workspace_id: sandbox.workspace_id.clone(),
        sandbox_id: sandbox.id.clone(),
        state: MAKING.to_owned(),
        below: "[]".to_owned(),
        manifest: "{}".to_owned(),
        created_at: now_ms(),
        ..draft
    };
    snapshots::insert(&app.pool, &row).await?;
    lifecycle::snapshot(app, &sandbox.id, &row.id).await?;
    snapshots::get_any(&app.pool, &row.id)
        .await?
        .ok_or_else(|| ApiError::not_found("snapshot", &row.id))
}

async fn may_be_taken(app: &App, sandbox: &SandboxRow, kind: &str) -> Result<(), ApiError> {
    let (count, bytes) = snapshots::count(&app.pool, &sandbox.tenant_id).await?;
    let hint = "delete some: `miosa sandbox snapshot list <sandbox>`, `miosa sandbox snapshot delete <sandbox> <snapshot>`";
    if kind == KEPT && count >= SNAPSHOTS_PER_TENANT_MAX {
        let why = format!("a tenant may have {SNAPSHOTS_PER_TENANT_MAX} snapshots");
        return Err(ApiError::new(ErrorCode::PlanCapExceeded, why).with_hint(hint));
    }
    if bytes >= SNAPSHOT_BYTES_PER_TENANT_MAX {
        let why = format!("a tenant's snapshots may take {SNAPSHOT_BYTES_PER_TENANT_MAX} bytes");
        return Err(ApiError::new(ErrorCode::PlanCapExceeded, why).with_hint(hint));
    }
    if sandbox.below().len() >= SNAPSHOT_DEPTH_MAX {
        let why = format!("{SNAPSHOT_DEPTH_MAX} snapshots lie one over the other under it already");
        return Err(ApiError::new(ErrorCode::ResourceState, why)
            .with_hint("copy its files into a new sandbox, which begins with none"));
    }
    Ok(())
}

/// The sandbox's driver takes the snapshot of a row that is `making`: nothing else happens to the sandbox
/// meanwhile. A failure leaves neither row nor disk.
pub async fn take_now(app: &App, id: &str, snapshot_id: &str) -> Result<SandboxRow, ApiError> {
    let taken = taken(app, id, snapshot_id).await;
    if taken.is_err() {
        app.runtime.remove_snapshot(snapshot_id).await?;
        snapshots::remove(&app.pool, snapshot_id).await?;
    }
    taken
}

async fn taken(app: &App, id: &str, snapshot_id: &str) -> Result<SandboxRow, ApiError> {
    let row = sandboxes::get_any(&app.pool, id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", id))?;
    match row.state() {
        SandboxState::Destroyed => return Err(ApiError::not_found("sandbox", id)),
        SandboxState::Creating => {
            let why = format!("sandbox {id} is {}", row.state);
            return Err(ApiError::new(ErrorCode::SandboxStarting, why));
        }
        _ => {}
    }
    let draft = snapshots::get_any(&app.pool, snapshot_id)
        .await?
        .ok_or_else(|| ApiError::not_found("snapshot", snapshot_id))?;
    let manifest = Manifest::read(app, &row).await?;
    let epoch = u64::try_from(row.disk_epoch).unwrap_or(0);
    let sandbox = SandboxId::from(id);
    let taken = app.runtime.snapshot(&sandbox, epoch, snapshot_id).await;
    let taken = taken.map_err(|error| match error {
        RuntimeError::NotFound(_) => ApiError::new(
            ErrorCode::ResourceState,
            "the sandbox never ran and has no disk yet",
        ),
        other => other.into(),
    })?;
    let ready = SnapshotRow {
        state: if draft.kind == KEPT { READY } else { MAKING }.to_owned(),
        below: row.below.clone(),
        size_bytes: i64::try_from(taken.bytes).unwrap_or(i64::MAX),
        held_ms: i64::try_from(taken.held.as_millis()).unwrap_or(i64::MAX),
        manifest: serde_json::to_string(&manifest).map_err(ApiError::internal)?,
        ..draft
    };
    snapshots::finish(&app.pool, &ready).await?;
    if ready.kind == KEPT {
        let facts = json!({ "snapshot_id": ready.id, "size_bytes": ready.size_bytes, "held_ms": ready.held_ms });
        events::emit(app, &row.tenant_id, id, "sandbox.snapshot.created", facts).await;
    }
    Ok(row)
}

/// Gives a stopped sandbox the files of one of its snapshots: a new disk over it. What was written since
/// is gone; variables, ports, connectors and rules stay as they are.
pub async fn restore(app: &App, row: &SandboxRow, snapshot_id: &str) -> Result<(), ApiError> {
    {
        let _nothing_is_removed = references().await;
        let snapshot = snapshots::get(&app.pool, &row.tenant_id, snapshot_id).await?;
        let own = snapshot.filter(|snapshot| snapshot.sandbox_id == row.id);
        let own = own.ok_or_else(|| ApiError::not_found("snapshot", snapshot_id))?;
        let below = serde_json::to_string(&own.stack()).map_err(ApiError::internal)?;
        sandboxes::renew_disk(&app.pool, &row.id, &below).await?;
    }
    let facts = json!({ "snapshot_id": snapshot_id });
    events::emit(app, &row.tenant_id, &row.id, "sandbox.restored", facts).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::seconds;

    #[test]
    fn an_expiration_is_seconds_or_a_number_with_its_unit() {
        for (given, want) in [
            (json!(60), 60),
            (json!("60"), 60),
            (json!("90s"), 90),
            (json!("15m"), 900),
            (json!("2h"), 7200),
            (json!("14d"), 14 * 86_400),
        ] {
            assert_eq!(seconds(&given).expect("seconds"), want, "{given}");
        }
        for bad in [
            json!(0),
            json!("-1d"),
            json!("soon"),
            json!("d"),
            json!(""),
            json!("9223372036854775807d"),
            json!("5é"),
        ] {
            assert!(seconds(&bad).is_err(), "{bad}");
        }
    }
}
