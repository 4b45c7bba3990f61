//! Files of a sandbox.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use miosa_api::file::{FsWrite, Listing, Written};
use reqwest::Body;
use serde_json::Value;

use crate::call::bare;
use crate::path::sandbox;
use crate::{Answer, Client, ClientError};

/// A file body may take this long on its way.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(3600);

impl Client {
    /// Writes a file whose bytes are in the body as base64.
    ///
    /// # Errors
    /// As every call; `DISK_FULL`, `INVALID_PATH`, `TOO_LARGE`.
    pub async fn write_file(
        &self,
        id: &str,
        body: &FsWrite,
    ) -> Result<Answer<Written>, ClientError> {
        self.post(sandbox(id, "/fs/write")?)
            .json(body)?
            .timeout(Some(TRANSFER_TIMEOUT))
            .answer()
            .await
    }

    /// Writes a file from a stream of raw bytes; nothing is held in memory whole.
    ///
    /// # Errors
    /// As [`Client::write_file`].
    pub async fn upload<S>(
        &self,
        id: &str,
        path: &str,
        mode: Option<&str>,
        bytes: S,
    ) -> Result<Answer<Written>, ClientError>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        self.put(sandbox(id, "/fs/content")?)
            .query("path", path)
            .query_opt("mode", mode)
            .stream(Body::wrap_stream(bytes))
            .timeout(Some(TRANSFER_TIMEOUT))
            .answer()
            .await
    }

    /// Reads a file as a stream of raw bytes.
    ///
    /// # Errors
    /// As every call; `FILE_NOT_FOUND`.
    pub async fn download(
        &self,
        id: &str,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + use<>, ClientError> {
        let response = self
            .get(sandbox(id, "/fs/download")?)
            .query("path", path)
            .timeout(Some(TRANSFER_TIMEOUT))
            .send()
            .await?;
        let url = bare(&response);
        Ok(response.bytes_stream().map(move |chunk| {
            chunk.map_err(|source| ClientError::Network {
                url: url.clone(),
                source: source.without_url(),
            })
        }))
    }

    /// Reads a file as text.
    ///
    /// # Errors
    /// As every call; `FILE_NOT_FOUND`.
    pub async fn read_file(&self, id: &str, path: &str) -> Result<Answer<Value>, ClientError> {
        self.get(sandbox(id, "/files/read")?)
            .query("path", path)
            .timeout(Some(TRANSFER_TIMEOUT))
            .answer()
            .await
    }

    /// Lists a folder.
    ///
    /// # Errors
    /// As every call; `FILE_NOT_FOUND`.
    pub async fn list_files(
        &self,
        id: &str,
        path: &str,
        depth: Option<u32>,
    ) -> Result<Answer<Listing>, ClientError> {
        self.get(sandbox(id, "/files")?)
            .query("path", path)
            .query_opt("depth", depth)
            .answer()
            .await
    }
}
