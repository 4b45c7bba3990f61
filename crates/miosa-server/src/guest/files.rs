//! Files of a sandbox, streamed both ways.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Response};
use hyper::body::Incoming;
use miosa_api::file::{FileEntry, Listing, Written};

use super::{Guest, agent_failed, encoded};
use crate::ApiError;

/// A write answers when all its bytes are there: as long as the longest upload.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3600);

impl Guest {
    /// A folder, `depth` levels deep.
    pub async fn list(&self, path: &str, depth: u32) -> Result<Listing, ApiError> {
        self.json(
            Method::GET,
            &format!("/v1/files?path={}&depth={depth}", encoded(path)),
            None::<&()>,
        )
        .await
    }

    /// One entry.
    pub async fn stat(&self, path: &str) -> Result<FileEntry, ApiError> {
        self.json(
            Method::GET,
            &format!("/v1/files/stat?path={}", encoded(path)),
            None::<&()>,
        )
        .await
    }

    /// A file's bytes, still to come.
    pub async fn read(&self, path: &str) -> Result<Response<Incoming>, ApiError> {
        self.send(
            Method::GET,
            &format!("/v1/files/content?path={}", encoded(path)),
            Body::empty(),
        )
        .await
    }

    /// Writes a file from a stream: beside it, then renamed.
    pub async fn write(
        &self,
        path: &str,
        mode: Option<&str>,
        content: Body,
    ) -> Result<Written, ApiError> {
        let mut target = format!("/v1/files/content?path={}", encoded(path));
        if let Some(mode) = mode {
            target.push_str(&format!("&mode={}", encoded(mode)));
        }
        let answer = self
            .send_within(Method::PUT, &target, content, WRITE_TIMEOUT)
            .await?;
        let bytes = self.collect(answer).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| agent_failed(format!("answer of a write: {error}")))
    }

    /// Removes a file, or a folder with all in it.
    pub async fn remove(&self, path: &str, recursive: bool) -> Result<(), ApiError> {
        let target = format!("/v1/files?path={}&recursive={recursive}", encoded(path));
        self.send(Method::DELETE, &target, Body::empty())
            .await
            .map(drop)
    }
}
