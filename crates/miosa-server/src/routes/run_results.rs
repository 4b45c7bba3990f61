//! What a run left behind: its files, the ports of its sandbox, and how it ended.

use axum::extract::State;
use axum::response::Response;
use axum::routing::get as on_get;
use miosa_api::List;
use miosa_api::error::ErrorBody;
use miosa_api::preview::Preview;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::runs::run;
use super::{access, files};
use crate::auth::Caller;
use crate::http::json::Path;
use crate::http::page;
use crate::preview::expose;
use crate::store::{previews as previews_store, runs, sandboxes};
use crate::{ApiError, App};

/// Lines of error output a diagnosis shows.
const STDERR_LINES: usize = 50;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(download))
        .routes(routes!(previews))
        .routes(routes!(diagnostics))
        .route("/agent-runs/{id}/files/{file}/download", on_get(download))
        .route("/agent-runs/{id}/previews", on_get(previews))
        .route("/agent-runs/{id}/diagnostics", on_get(diagnostics))
}

/// One of these files, as it is now.
#[utoipa::path(get, path = "/runs/{id}/files/{file}/download", tag = "runs",
    params(("id" = String, Path), ("file" = String, Path)),
    responses((status = 200, body = String, content_type = "application/octet-stream"), (status = 404, body = ErrorBody),
    (status = 409, body = ErrorBody)))]
async fn download(
    State(app): State<App>,
    caller: Caller,
    Path((id, file)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let run = run(&app, &caller, &id).await?;
    access::running(&app, &caller, &run.sandbox_id).await?;
    let changed = crate::runs::changed(&app, &run).await?;
    let path = changed
        .iter()
        .find(|item| item["id"] == file.as_str())
        .and_then(|item| item["path"].as_str())
        .ok_or_else(|| ApiError::not_found("file of this run", &file))?;
    files::content(&app, &run.sandbox_id, path).await
}

/// Exposed ports of the run's sandbox.
#[utoipa::path(get, path = "/runs/{id}/previews", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = List<Preview>), (status = 404, body = ErrorBody)))]
async fn previews(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let run = run(&app, &caller, &id).await?;
    let sandbox = access::sandbox(&app, &caller, &run.sandbox_id).await?;
    let rows = previews_store::list(&app.pool, &caller.tenant_id, &sandbox.id).await?;
    let shown = rows.iter().map(|row| expose::shown(&app, &sandbox, row));
    Ok(page::whole(shown.collect()))
}

/// What is worth knowing when it went wrong: how it ended, its last error lines, whether its sandbox runs.
#[utoipa::path(get, path = "/runs/{id}/diagnostics", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn diagnostics(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let run = run(&app, &caller, &id).await?.view();
    let stderr = runs::output(&app.pool, &run.id, "stderr").await?;
    let lines: Vec<&str> = stderr.lines().collect();
    let last = lines.len().saturating_sub(STDERR_LINES);
    let sandbox = sandboxes::get(&app.pool, &caller.tenant_id, &run.target_id).await?;
    let mut found = vec![json!({
        "kind": "end", "run_id": run.id, "status": run.status, "exit_code": run.exit_code,
        "message": run.error, "stderr_tail": &lines[last..],
    })];
    if let Some(row) = sandbox.filter(|row| row.state != "running") {
        found.push(json!({ "kind": "sandbox", "sandbox_id": row.id, "message": format!("it is {}", row.state) }));
    }
    Ok(page::whole(found))
}
