//! Snapshots of sandboxes, and sandboxes made from them.
//!
//! A snapshot is a disk that nobody writes to any more (kept by the runtime under the snapshot's id) and a
//! [`Manifest`]: what a sandbox made from it is given beside the files. Neither holds a value of a
//! credential or a placeholder: a binding is kept as connector and variable, and bound anew.
//!
//! INVARIANT: a disk is removed only while nobody can begin to lie over it ([`references`]), and only when
//! no live sandbox and no snapshot that is not gone lies over it.

mod collect;
mod fork;
mod manifest;
mod take;

use tokio::sync::{Mutex, MutexGuard};

pub(crate) use collect::sweep;
pub use collect::{collect, delete, recover};
pub use fork::{fork, make};
pub use manifest::Manifest;
pub use take::{find, keep, restore, take_now};

use crate::ApiError;
use crate::clock::rfc3339;
use crate::store::snapshots::SnapshotRow;
use miosa_api::snapshot::{Snapshot, SnapshotConnector, SnapshotResource};

static REFERENCES: Mutex<()> = Mutex::const_new(());

/// Held from the look whether a snapshot is there until what lies over it is written down, and while what
/// nothing lies over is removed.
pub(crate) async fn references() -> MutexGuard<'static, ()> {
    REFERENCES.lock().await
}

/// The public object of a row.
pub fn view(row: &SnapshotRow) -> Result<Snapshot, ApiError> {
    let manifest = Manifest::of(row)?;
    let connector = |bound: manifest::Bound| SnapshotConnector {
        connector: bound.uid,
        env_name: bound.env_name,
    };
    Ok(Snapshot {
        id: row.id.clone(),
        snapshot_id: row.id.clone(),
        sandbox_id: row.sandbox_id.clone(),
        resource: SnapshotResource {
            kind: "sandbox".to_owned(),
            id: row.sandbox_id.clone(),
            name: manifest.name,
        },
        comment: row.comment.clone(),
        status: row.state.clone(),
        parent_snapshot_id: row.below().into_iter().next(),
        size_bytes: row.size_bytes,
        held_ms: row.held_ms,
        template_id: manifest.template_id,
        env_keys: manifest.env.into_keys().collect(),
        ports: manifest.ports.into_iter().map(|port| port.port).collect(),
        connectors: manifest.bindings.into_iter().map(connector).collect(),
        workspace_id: row.workspace_id.clone(),
        created_at: rfc3339(row.created_at),
        expires_at: row.expires_at.map(rfc3339),
    })
}
