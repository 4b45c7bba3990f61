//! Snapshots and forks.

use std::time::Duration;

use miosa_api::sandbox::Sandbox;
use miosa_api::snapshot::{CreateSnapshot, ForkSandbox, Snapshot};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::path::{path_segment, sandbox};
use crate::{Answer, Client, ClientError};

/// A copy of what changed, and a start, may take this long.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);

impl Client {
    /// Keeps the files of a sandbox as they are now.
    ///
    /// # Errors
    /// As every call; `DISK_FULL`.
    pub async fn create_snapshot(
        &self,
        id: &str,
        body: &CreateSnapshot,
    ) -> Result<Answer<Snapshot>, ClientError> {
        self.post(sandbox(id, "/snapshots")?)
            .json(body)?
            .idempotency_key(Some(Uuid::new_v4().to_string()))
            .timeout(Some(SNAPSHOT_TIMEOUT))
            .answer()
            .await
    }

    /// Snapshots of a sandbox, newest first.
    ///
    /// # Errors
    /// As every call.
    pub async fn snapshots(&self, id: &str) -> Result<Answer<Vec<Snapshot>>, ClientError> {
        self.get(sandbox(id, "/snapshots")?).answer().await
    }

    /// One snapshot of a sandbox.
    ///
    /// # Errors
    /// As every call; `NOT_FOUND`.
    pub async fn snapshot(
        &self,
        id: &str,
        snapshot: &str,
    ) -> Result<Answer<Snapshot>, ClientError> {
        self.get(one(id, "/snapshots", snapshot)?).answer().await
    }

    /// Gives a sandbox the files of one of its snapshots and starts it anew.
    ///
    /// # Errors
    /// As every call; `NOT_FOUND`.
    pub async fn restore_snapshot(
        &self,
        id: &str,
        snapshot: &str,
    ) -> Result<Answer<Sandbox>, ClientError> {
        self.post(one(id, "/restore", snapshot)?)
            .json(&json!({}))?
            .timeout(Some(SNAPSHOT_TIMEOUT))
            .answer()
            .await
    }

    /// Deletes a snapshot. The answer's envelope is `null` where the server sent no body.
    ///
    /// # Errors
    /// As every call; `NOT_FOUND`.
    pub async fn delete_snapshot(
        &self,
        id: &str,
        snapshot: &str,
    ) -> Result<Answer<Value>, ClientError> {
        self.delete(one(id, "/snapshots", snapshot)?).answer().await
    }

    /// Makes a new sandbox of what another one is now, or was in one of its snapshots.
    ///
    /// # Errors
    /// As every call.
    pub async fn fork_sandbox(
        &self,
        id: &str,
        body: &ForkSandbox,
    ) -> Result<Answer<Sandbox>, ClientError> {
        self.post(sandbox(id, "/fork")?)
            .json(body)?
            .idempotency_key(Some(Uuid::new_v4().to_string()))
            .timeout(Some(SNAPSHOT_TIMEOUT))
            .answer()
            .await
    }
}

fn one(id: &str, verb: &str, snapshot: &str) -> Result<String, ClientError> {
    let snapshot = path_segment("a snapshot's id", snapshot)?;
    sandbox(id, &format!("{verb}/{snapshot}"))
}
