//! Files inside JSON: base64 or text, and what a folder holds.
//!
//! Two generations of routes differ in one point: in `fs/*` the field `content` is the text itself,
//! in `files*` it is base64.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miosa_api::Data;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::file::{
    FileEntry, FsWrite, Listing, WriteFailure, WriteMany, WriteManyResult, Written,
};
use miosa_api::limits::FILE_JSON_BYTES_MAX;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use super::files::inside;
use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path, Query, parse, read_body};
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, unix};

/// Largest file that `files/read` answers as text.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;
const TEXT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);
const DEPTH_MAX: u32 = 10;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(write))
        .routes(routes!(write_many))
        .routes(routes!(stat))
        .routes(routes!(remove))
        .routes(routes!(legacy_write, list))
        .routes(routes!(legacy_write_many))
        .routes(routes!(legacy_stat))
        .routes(routes!(read_text))
        .routes(routes!(tree))
}

/// What the field `content` holds.
#[derive(Clone, Copy)]
enum Content {
    Text,
    Base64,
}

fn bytes_of(file: &FsWrite, content: Content) -> Result<Vec<u8>, ApiError> {
    let (text, field) = match (&file.content_base64, &file.content, content) {
        (Some(text), _, _) => (text, "content_base64"),
        (None, Some(text), Content::Text) => return Ok(text.clone().into_bytes()),
        (None, Some(text), Content::Base64) => (text, "content"),
        (None, None, _) => return Err(ApiError::invalid("content_base64", "there is no content")),
    };
    let compact: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(compact)
        .map_err(|error| ApiError::invalid(field, format!("not base64: {error}")))
}

async fn store(
    app: &App,
    row: &SandboxRow,
    file: &FsWrite,
    content: Content,
) -> Result<Written, ApiError> {
    let path = inside(row, &file.path)?;
    let bytes = bytes_of(file, content)?;
    app.guest(&row.id)
        .write(&path, file.mode.as_deref(), Body::from(bytes))
        .await
}

async fn write_one(
    app: App,
    caller: Caller,
    id: String,
    request: Request,
    content: Content,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let row = access::running(&app, &caller, &id).await?;
    let file: FsWrite = parse(&read_body(request, FILE_JSON_BYTES_MAX).await?)?;
    if file.path.is_empty() {
        return Err(ApiError::invalid("path", "there is none"));
    }
    Ok(json::data(store(&app, &row, &file, content).await?))
}

async fn write_all(
    app: App,
    caller: Caller,
    id: String,
    request: Request,
    content: Content,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let row = access::running(&app, &caller, &id).await?;
    let body: WriteMany = parse(&read_body(request, FILE_JSON_BYTES_MAX).await?)?;
    let mut result = WriteManyResult {
        written: Vec::new(),
        failed: Vec::new(),
    };
    for file in body.files {
        match store(&app, &row, &file, content).await {
            Ok(written) => result.written.push(written.path),
            Err(error) => result.failed.push(WriteFailure {
                path: file.path,
                code: error.code.as_str().to_owned(),
                message: error.message,
            }),
        }
    }
    Ok(json::data(result))
}

/// Writes a file: `content_base64`, or `content` as literal text.
#[utoipa::path(post, path = "/sandboxes/{id}/fs/write", tag = "files", params(("id" = String, Path)), request_body = FsWrite,
    responses((status = 200, body = Data<Written>), (status = 400, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn write(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    write_one(app, caller, id, request, Content::Text).await
}

/// Writes a file: `content` is base64.
#[utoipa::path(post, path = "/sandboxes/{id}/files", tag = "files", params(("id" = String, Path)), request_body = FsWrite,
    responses((status = 200, body = Data<Written>), (status = 400, body = ErrorBody), (status = 507, body = ErrorBody)))]
async fn legacy_write(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    write_one(app, caller, id, request, Content::Base64).await
}

/// Writes files, each on its own.
#[utoipa::path(post, path = "/sandboxes/{id}/fs/write-many", tag = "files", params(("id" = String, Path)), request_body = WriteMany,
    responses((status = 200, body = Data<WriteManyResult>), (status = 400, body = ErrorBody)))]
async fn write_many(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    write_all(app, caller, id, request, Content::Text).await
}

/// As `fs/write-many`, with `content` in base64.
#[utoipa::path(post, path = "/sandboxes/{id}/files/write-many", tag = "files", params(("id" = String, Path)), request_body = WriteMany,
    responses((status = 200, body = Data<WriteManyResult>), (status = 400, body = ErrorBody)))]
async fn legacy_write_many(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    write_all(app, caller, id, request, Content::Base64).await
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct PathBody {
    /// Absolute, or relative to the working directory.
    path: String,
}

/// One entry.
#[utoipa::path(post, path = "/sandboxes/{id}/fs/stat", tag = "files", params(("id" = String, Path)), request_body = PathBody,
    responses((status = 200, body = Data<FileEntry>), (status = 404, body = ErrorBody)))]
async fn stat(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<PathBody>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::running(&app, &caller, &id).await?;
    Ok(json::data(
        app.guest(&id).stat(&inside(&row, &body.path)?).await?,
    ))
}

/// As `fs/stat`.
#[utoipa::path(post, path = "/sandboxes/{id}/files/stat", tag = "files", params(("id" = String, Path)), request_body = PathBody,
    responses((status = 200, body = Data<FileEntry>), (status = 404, body = ErrorBody)))]
async fn legacy_stat(
    app: State<App>,
    caller: Caller,
    id: Path<String>,
    body: Json<PathBody>,
) -> Result<Response, ApiError> {
    stat(app, caller, id, body).await
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct FolderQuery {
    /// Absolute, or relative to the working directory, which is meant when absent.
    path: Option<String>,
    /// Levels, at most 10.
    depth: Option<u32>,
    /// Remove a folder with all in it.
    recursive: bool,
}

async fn listing(
    app: &App,
    caller: &Caller,
    id: &str,
    query: FolderQuery,
    depth: u32,
) -> Result<Listing, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::running(app, caller, id).await?;
    let path = query.path.unwrap_or_else(|| row.image().workdir);
    app.guest(id)
        .list(
            &inside(&row, &path)?,
            query.depth.unwrap_or(depth).clamp(1, DEPTH_MAX),
        )
        .await
}

/// What a folder holds.
#[utoipa::path(get, path = "/sandboxes/{id}/files", tag = "files", params(("id" = String, Path), FolderQuery),
    responses((status = 200, body = Data<Listing>), (status = 404, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<FolderQuery>,
) -> Result<Response, ApiError> {
    Ok(json::data(listing(&app, &caller, &id, query, 1).await?))
}

/// A folder as one node of a tree, three levels deep when not said otherwise.
#[utoipa::path(get, path = "/sandboxes/{id}/files/tree", tag = "files", params(("id" = String, Path), FolderQuery),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn tree(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<FolderQuery>,
) -> Result<Response, ApiError> {
    let folder = listing(&app, &caller, &id, query, 3).await?;
    let name = folder.path.rsplit('/').next().unwrap_or_default();
    Ok(json::data(json!({
        "name": name, "type": "dir", "is_dir": true, "path": folder.path,
        "entries": folder.entries, "children": folder.entries,
    })))
}

/// Removes a file, or with `recursive` a folder.
#[utoipa::path(delete, path = "/sandboxes/{id}/fs", tag = "files", params(("id" = String, Path), FolderQuery),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<FolderQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    let row = access::running(&app, &caller, &id).await?;
    let path = query
        .path
        .ok_or_else(|| ApiError::invalid("path", "there is none"))?;
    app.guest(&id)
        .remove(&inside(&row, &path)?, query.recursive)
        .await?;
    Ok(json::no_content())
}

/// A file as text.
#[utoipa::path(get, path = "/sandboxes/{id}/files/read", tag = "files", params(("id" = String, Path), FolderQuery),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody)))]
async fn read_text(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<FolderQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::running(&app, &caller, &id).await?;
    let path = query
        .path
        .ok_or_else(|| ApiError::invalid("path", "there is none"))?;
    let path = inside(&row, &path)?;
    let answer = app.guest(&id).read(&path).await?;
    let bytes = unix::collect(answer.into_body(), TEXT_BYTES_MAX, TEXT_TIMEOUT)
        .await
        .map_err(|error| {
            ApiError::new(
                ErrorCode::TooLarge,
                format!("as text a file has at most {TEXT_BYTES_MAX} bytes"),
            )
            .with_hint("download it: `miosa sandbox download`")
            .with_source(error)
        })?;
    Ok(json::data(
        json!({ "path": path, "size": bytes.len(), "content": String::from_utf8_lossy(&bytes) }),
    ))
}

#[cfg(test)]
mod tests {
    use miosa_api::file::FsWrite;

    use super::{Content, bytes_of};

    #[test]
    fn content_is_text_in_one_generation_and_base64_in_the_other() {
        let file = FsWrite {
            content: Some("aGk=".to_owned()),
            ..FsWrite::default()
        };
        assert_eq!(bytes_of(&file, Content::Text).expect("text"), b"aGk=");
        assert_eq!(bytes_of(&file, Content::Base64).expect("base64"), b"hi");
        let wrapped = FsWrite {
            content_base64: Some("aG\nk=\n".to_owned()),
            ..FsWrite::default()
        };
        assert_eq!(
            bytes_of(&wrapped, Content::Text).expect("wrapped base64"),
            b"hi"
        );
        assert!(bytes_of(&FsWrite::default(), Content::Text).is_err());
        let bad = FsWrite {
            content_base64: Some("!".to_owned()),
            ..FsWrite::default()
        };
        assert!(bytes_of(&bad, Content::Text).is_err());
    }
}
