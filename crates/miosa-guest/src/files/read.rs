//! Reads a file as a stream.

use std::path::PathBuf;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::failure::Failure;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// The bytes of a regular file.
///
/// With its length, so that a file that shrinks meanwhile is an error and not a shorter file.
/// Files of the kernel have no length: they are read until their end.
pub async fn content(path: PathBuf) -> Result<Response, Failure> {
    // Opening a pipe would wait for its other end.
    let found = fs_err::tokio::metadata(&path).await?;
    if !found.is_file() {
        let what = if found.is_dir() {
            "a folder"
        } else {
            "not a regular file"
        };
        return Err(Failure::invalid_path(format!(
            "{}: is {what}",
            path.display()
        )));
    }
    let file = fs_err::tokio::File::open(&path).await?;
    let length = file.metadata().await?.len();
    let kind = (CONTENT_TYPE, "application/octet-stream".to_owned());
    if length == 0 {
        let body = Body::from_stream(ReaderStream::with_capacity(file, CHUNK_BYTES));
        return Ok(([kind], body).into_response());
    }
    let chunks = ReaderStream::with_capacity(file.take(length), CHUNK_BYTES);
    let length = (CONTENT_LENGTH, length.to_string());
    Ok(([kind, length], Body::from_stream(chunks)).into_response())
}
