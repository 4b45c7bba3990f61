//! Files as raw bytes, streamed both ways: nothing is held in memory whole.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::StreamExt;
use http::{HeaderValue, header};
use http_body_util::BodyDataStream;
use miosa_api::Data;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::file::Written;
use miosa_api::limits::{FILE_BYTES_MAX, PATH_BYTES_MAX};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::http::json::{self, Path, Query, header_text};
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, command};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(put_content))
        .routes(routes!(download))
        .routes(routes!(read_by_path))
}

/// A path inside, checked as far as the host can: the guest agent alone opens it.
pub(super) fn inside(row: &SandboxRow, path: &str) -> Result<String, ApiError> {
    let path = command::absolute(&row.image().workdir, path);
    let why = if path.contains('\0') {
        "it has a NUL byte"
    } else if path.len() > PATH_BYTES_MAX {
        "it is too long"
    } else if path.split('/').any(|part| part == "..") {
        "it has a `..`"
    } else {
        return Ok(path);
    };
    Err(ApiError::new(
        ErrorCode::InvalidPath,
        format!("this path cannot be used: {why}"),
    ))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PutQuery {
    /// Absolute, or relative to the working directory.
    path: String,
    /// Permission bits, octal text such as `0644`.
    mode: Option<String>,
}

/// Writes a file from the raw body, of any size up to 4 GiB.
#[utoipa::path(put, path = "/sandboxes/{id}/fs/content", tag = "files", params(("id" = String, Path), PutQuery),
    request_body(content = String, content_type = "application/octet-stream"),
    responses((status = 200, body = Data<Written>), (status = 400, body = ErrorBody), (status = 413, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn put_content(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<PutQuery>,
    request: Request,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let row = access::running(&app, &caller, &id).await?;
    let path = inside(&row, &query.path)?;
    let declared =
        header_text(request.headers(), "content-length").and_then(|text| text.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > FILE_BYTES_MAX) {
        return Err(too_large());
    }
    let _in_use = app.activity.hold(&id);
    let (content, over) = limited(request.into_body());
    let written = app
        .guest(&id)
        .write(&path, query.mode.as_deref(), content)
        .await;
    if over.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(too_large());
    }
    Ok(json::data(written?))
}

fn too_large() -> ApiError {
    ApiError::new(
        ErrorCode::TooLarge,
        format!("a file has at most {FILE_BYTES_MAX} bytes"),
    )
}

/// The same body, broken off at the limit, and whether it was.
fn limited(body: Body) -> (Body, std::sync::Arc<std::sync::atomic::AtomicBool>) {
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = over.clone();
    let mut bytes: u64 = 0;
    let stream = BodyDataStream::new(body).map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        bytes += piece.len() as u64;
        if bytes > FILE_BYTES_MAX {
            told.store(true, std::sync::atomic::Ordering::Relaxed);
            return Err(std::io::Error::other("the file is too large"));
        }
        Ok(piece)
    });
    (Body::from_stream(stream), over)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DownloadQuery {
    /// Absolute, or relative to the working directory.
    path: String,
}

/// A file's bytes.
#[utoipa::path(get, path = "/sandboxes/{id}/fs/download", tag = "files", params(("id" = String, Path), DownloadQuery),
    responses((status = 200, body = String, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)))]
async fn download(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<DownloadQuery>,
) -> Result<Response, ApiError> {
    raw(app, caller, id, query.path).await
}

/// A file's bytes; its path as segments or as one encoded segment without the leading slash.
#[utoipa::path(get, path = "/sandboxes/{id}/files/{*path}", tag = "files", params(("id" = String, Path), ("path" = String, Path)),
    responses((status = 200, body = String, content_type = "application/octet-stream"), (status = 404, body = ErrorBody)))]
async fn read_by_path(
    State(app): State<App>,
    caller: Caller,
    Path((id, path)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    raw(
        app,
        caller,
        id,
        format!("/{}", path.trim_start_matches('/')),
    )
    .await
}

async fn raw(app: App, caller: Caller, id: String, path: String) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::running(&app, &caller, &id).await?;
    content(&app, &id, &inside(&row, &path)?).await
}

/// The bytes of a file of a running sandbox, as an answer.
pub(super) async fn content(app: &App, id: &str, path: &str) -> Result<Response, ApiError> {
    let answer = app.guest(id).read(path).await?;
    let in_use = app.activity.hold(id);
    let length = answer.headers().get(header::CONTENT_LENGTH).cloned();
    let pieces = BodyDataStream::new(answer.into_body()).map(move |piece| {
        let _held = &in_use;
        piece
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment"),
    );
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::inside;
    use crate::store::sandboxes::SandboxRow;

    #[test]
    fn paths_stay_below_the_root_and_relative_ones_below_the_workdir() {
        let row = SandboxRow {
            image: r#"{"image_id":"","layers":[],"env":{},"workdir":"/workspace","hosts":[],"start_cmd":null,"preview_port":null,
                "default_cpu":1,"default_memory_mb":1,"default_disk_mb":1}"#.to_owned(),
            ..SandboxRow::default()
        };
        assert_eq!(inside(&row, "a/b.txt").expect("fine"), "/workspace/a/b.txt");
        assert_eq!(inside(&row, "/etc/hosts").expect("fine"), "/etc/hosts");
        for bad in ["../x", "/a/../../b", "a\0b", &"a".repeat(5000)] {
            assert!(inside(&row, bad).is_err());
        }
    }
}
