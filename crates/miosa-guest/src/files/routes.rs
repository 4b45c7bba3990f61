//! Routes of files.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Json, Query};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use miosa_api::file::{FileEntry, Listing, Written};
use miosa_api::limits::PATH_BYTES_MAX;
use serde::Deserialize;

use super::{list, read, remove, write};
use crate::agent::Agent;
use crate::blocking::blocking;
use crate::failure::Failure;
use crate::router::Parameters;

/// Everything below `/v1/files`.
pub fn routes() -> Router<Arc<Agent>> {
    Router::new()
        .route("/v1/files", get(list_folder).delete(delete))
        .route("/v1/files/stat", get(stat))
        .route("/v1/files/content", get(content).put(put_content))
}

#[derive(Debug, Deserialize)]
struct Target {
    path: String,
    #[serde(default)]
    depth: u32,
    #[serde(default)]
    recursive: bool,
    mode: Option<String>,
}

impl Target {
    /// The path, if it is one that the protocol takes.
    fn path(&self) -> Result<PathBuf, Failure> {
        let why = match self.path.as_str() {
            path if !path.starts_with('/') => "is not absolute",
            path if path.contains('\0') => "contains a NUL",
            path if path.len() > PATH_BYTES_MAX => "is too long",
            path => return Ok(PathBuf::from(path)),
        };
        let shown: String = self.path.chars().take(80).collect();
        Err(Failure::invalid_path(format!("{shown:?}: the path {why}")))
    }

    /// Permission bits.
    fn mode(&self) -> Result<Option<u32>, Failure> {
        let Some(text) = &self.mode else {
            return Ok(None);
        };
        match u32::from_str_radix(text, 8) {
            Ok(mode @ ..=0o7777) => Ok(Some(mode)),
            _ => Err(Failure::bad_request(format!(
                "mode {text:?} is not octal permission bits"
            ))),
        }
    }
}

async fn list_folder(
    Parameters(Query(target)): Parameters<Target>,
) -> Result<Json<Listing>, Failure> {
    let path = target.path()?;
    let depth = target.depth;
    Ok(Json(blocking(move || list::folder(&path, depth)).await?))
}

async fn stat(Parameters(Query(target)): Parameters<Target>) -> Result<Json<FileEntry>, Failure> {
    let path = target.path()?;
    Ok(Json(blocking(move || list::entry(&path)).await?))
}

async fn content(Parameters(Query(target)): Parameters<Target>) -> Result<Response, Failure> {
    read::content(target.path()?).await
}

async fn put_content(
    Parameters(Query(target)): Parameters<Target>,
    body: Body,
) -> Result<Json<Written>, Failure> {
    let (path, mode) = (target.path()?, target.mode()?);
    let size = write::content(path, mode, body.into_data_stream()).await?;
    Ok(Json(Written {
        path: target.path,
        size,
    }))
}

async fn delete(Parameters(Query(target)): Parameters<Target>) -> Result<StatusCode, Failure> {
    let (path, recursive) = (target.path()?, target.recursive);
    blocking(move || remove::path(&path, recursive)).await?;
    Ok(StatusCode::NO_CONTENT)
}
