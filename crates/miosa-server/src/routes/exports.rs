//! Exports: files of a sandbox to take away, one as it is, several or a folder as one archive.

use async_stream::stream;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::guest::ExecStart;
use miosa_api::limits::{EXPORT_PATHS_MAX, EXPORT_TIMEOUT};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use super::files::{self, inside};
use crate::auth::{Caller, Scope};
use crate::guest::{Attached, Chunk};
use crate::http::json::{self as answer, Json, Path};
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(download))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct CreateExport {
    /// One path,
    path: Option<String>,
    /// or several.
    paths: Vec<String>,
    /// For people.
    label: Option<String>,
    /// Name of the archive.
    filename: Option<String>,
}

/// What is to be taken, as the guest knows it.
struct Wanted {
    paths: Vec<String>,
    /// One file: no archive.
    is_file: bool,
}

async fn wanted(app: &App, row: &SandboxRow, asked: Vec<String>) -> Result<Wanted, ApiError> {
    if asked.is_empty() || asked.len() > EXPORT_PATHS_MAX {
        return Err(ApiError::invalid(
            "paths",
            format!("1 to {EXPORT_PATHS_MAX} paths"),
        ));
    }
    let (mut paths, mut is_file) = (Vec::new(), asked.len() == 1);
    for path in asked {
        let path = inside(row, &path)?;
        is_file &= !app.guest(&row.id).stat(&path).await?.is_dir;
        paths.push(path);
    }
    Ok(Wanted { paths, is_file })
}

/// Says where files can be taken from. They are read when they are downloaded, not now.
#[utoipa::path(post, path = "/sandboxes/{id}/exports", tag = "files", params(("id" = String, Path)), request_body = CreateExport,
    responses((status = 201, body = Object), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<CreateExport>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::running(&app, &caller, &id).await?;
    let mut asked = body.paths;
    asked.extend(body.path);
    let wanted = wanted(&app, &row, asked).await?;
    let address = |key: &str, paths: &[String]| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for path in paths {
            query.append_pair(key, path);
        }
        if let Some(name) = &body.filename {
            query.append_pair("filename", name);
        }
        format!(
            "{}/api/v1/sandboxes/{id}/exports/download?{}",
            app.public_url(),
            query.finish()
        )
    };
    let files: Vec<Value> = wanted
        .paths
        .iter()
        .map(|path| json!({ "path": path, "download_url": address("path", std::slice::from_ref(path)) }))
        .collect();
    Ok(answer::created(json!({
        "id": uuid::Uuid::now_v7(), "sandbox_id": id, "status": "ready", "label": body.label,
        "filename": body.filename, "files": files,
        "archive_download_url": address("paths[]", &wanted.paths),
    })))
}

/// Only for the description: the handler reads the query itself, where names come more than once.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "described, not read")]
struct DownloadQuery {
    /// One path,
    path: Option<String>,
    /// or several, as `paths[]`.
    #[param(rename = "paths[]")]
    paths: Option<Vec<String>>,
    /// Name under which it is offered.
    filename: Option<String>,
}

/// The bytes: of one file as they are, of all else as a gzipped tar with paths from the root.
#[utoipa::path(get, path = "/sandboxes/{id}/exports/download", tag = "files", params(("id" = String, Path), DownloadQuery),
    responses((status = 200, body = String, content_type = "application/octet-stream"), (status = 404, body = ErrorBody),
    (status = 422, body = ErrorBody)))]
async fn download(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let row = access::running(&app, &caller, &id).await?;
    let query = query.unwrap_or_default();
    let (mut asked, mut filename) = (Vec::new(), None);
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "path" | "paths" | "paths[]" => asked.push(value.into_owned()),
            "filename" => filename = Some(value.into_owned()),
            _ => {}
        }
    }
    let wanted = wanted(&app, &row, asked).await?;
    let mut response = if wanted.is_file {
        files::content(&app, &id, &wanted.paths[0]).await?
    } else {
        archive(&app, &id, &wanted.paths).await?
    };
    if let Some(value) = filename.as_deref().and_then(disposition) {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// A name for the browser, of harmless characters alone.
fn disposition(filename: &str) -> Option<HeaderValue> {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = filename.chars().filter(plain).take(100).collect();
    HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")).ok()
}

async fn archive(app: &App, id: &str, paths: &[String]) -> Result<Response, ApiError> {
    let mut argv = ["tar", "-czf", "-", "-C", "/", "--"]
        .map(str::to_owned)
        .to_vec();
    argv.extend(paths.iter().map(|path| match path.trim_start_matches('/') {
        "" => ".".to_owned(),
        path => path.to_owned(),
    }));
    let start = ExecStart {
        argv,
        timeout_ms: u64::try_from(EXPORT_TIMEOUT.as_millis()).ok(),
        ..ExecStart::default()
    };
    let mut attached = app.guest(id).attach(&start).await?;
    // An error can be told only before the first byte.
    let first = next(&mut attached).await?;
    let in_use = app.activity.hold(id);
    let pieces = stream! {
        let _held = in_use;
        let mut piece = first;
        while let Some(bytes) = piece {
            yield Ok(bytes);
            match next(&mut attached).await {
                Ok(more) => piece = more,
                Err(error) => {
                    yield Err(std::io::Error::other(error.message));
                    return;
                }
            }
        }
    };
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/gzip"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"export.tar.gz\""),
    );
    Ok(response)
}

/// The next bytes of the archive; none at its end. A file that changed or vanished meanwhile (exit
/// status 1) spoils nothing, every other failure breaks the download off.
async fn next(attached: &mut Attached) -> Result<Option<Bytes>, ApiError> {
    loop {
        match attached.next().await? {
            Chunk::Stdout(bytes) => return Ok(Some(bytes)),
            Chunk::Stderr(_) => {}
            Chunk::End(exit) if exit.code <= 1 && exit.signal.is_none() => return Ok(None),
            Chunk::End(exit) => {
                return Err(ApiError::new(
                    ErrorCode::AgentUnavailable,
                    format!(
                        "the files could not be packed: tar ended with {}",
                        exit.code
                    ),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        let value = disposition("a\"; filename=evil\r\n/../x.tar.gz").unwrap();
        assert_eq!(value, "attachment; filename=\"afilenameevil..x.tar.gz\"");
    }
}
