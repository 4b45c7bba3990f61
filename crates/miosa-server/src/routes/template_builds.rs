//! Builds of templates: start, list, watch.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::Stream;
use http::{HeaderMap, header};
use miosa_api::error::ErrorBody;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::builder::{self, Build, log};
use crate::clock::rfc3339;
use crate::http::json::{self as answer, Path, header_text};
use crate::http::{page, sse};
use crate::store::templates::{self as store, BuildRow};
use crate::templates::catalogue;
use crate::templates::catalogue::Catalogue;
use crate::{ApiError, App};

/// Lines of the log in an answer that is not a stream.
const LOG_LINES: usize = 500;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
}

/// Starts the build of a template, or joins the one under way.
pub(super) async fn start(
    app: &App,
    tenant_id: &str,
    catalogue: &Catalogue,
    id: &str,
) -> Result<Arc<Build>, ApiError> {
    let entry = catalogue.get(id)?;
    let plan = catalogue.plan(&entry.definition.spec)?;
    builder::build(app, tenant_id, &entry.definition.id, plan).await
}

fn shown(row: &BuildRow) -> Value {
    json!({
        "id": row.id,
        "template_id": row.template_id,
        "image_id": row.image_id,
        "status": row.status,
        "error": row.error,
        "created_at": rfc3339(row.created_at),
        "finished_at": row.finished_at.map(rfc3339),
    })
}

/// Builds of a template, newest first.
#[utoipa::path(get, path = "/sandbox-templates/{id}/builds", tag = "templates", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesRead)?;
    let catalogue = catalogue(&app, &caller.tenant_id).await?;
    let real = &catalogue.get(&id)?.definition.id;
    let rows = store::builds(&app.pool, &caller.tenant_id, real).await?;
    Ok(page::whole(rows.iter().map(shown).collect()))
}

/// Builds a template. Layers that are there are not made again.
#[utoipa::path(post, path = "/sandbox-templates/{id}/builds", tag = "templates", params(("id" = String, Path)),
    responses((status = 201, body = Object), (status = 404, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesWrite)?;
    let catalogue = catalogue(&app, &caller.tenant_id).await?;
    let build = start(&app, &caller.tenant_id, &catalogue, &id).await?;
    let row = store::build(&app.pool, &caller.tenant_id, &build.id).await?;
    // Another tenant's build of the same image: joined, and known by its id alone.
    let value = row.as_ref().map_or_else(
        || json!({ "id": build.id, "template_id": id, "status": "building" }),
        shown,
    );
    Ok(answer::created(value))
}

/// A build with its log; as server-sent events (`Accept: text/event-stream`) until it ends.
#[utoipa::path(get, path = "/sandbox-template-builds/{id}", tag = "templates", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesRead)?;
    let row = store::build(&app.pool, &caller.tenant_id, &id).await?;
    let row = row.ok_or_else(|| ApiError::not_found("build", &id))?;
    let path = log::path(&builder::logs(&app), &row.id);
    if header_text(&headers, header::ACCEPT.as_str())
        .is_some_and(|accept| accept.contains("text/event-stream"))
    {
        let after = header_text(&headers, "last-event-id")
            .and_then(|id| id.parse().ok())
            .unwrap_or(0);
        return Ok(sse::respond(follow(
            path,
            builder::running_by_id(&app, &row.id),
            after,
        )));
    }
    let mut value = shown(&row);
    let mut events = log::read(&path, 0);
    let first = events.len().saturating_sub(LOG_LINES);
    value["events"] = json!(events.split_off(first));
    Ok(answer::data(value))
}

fn follow(
    path: std::path::PathBuf,
    build: Option<Arc<Build>>,
    after: u64,
) -> impl Stream<Item = Event> + Send {
    async_stream::stream! {
        let mut seen = after;
        loop {
            // Asked before reading, so that what comes in between is read too.
            let goes_on = match &build {
                Some(build) => build.log.more(seen).await,
                None => false,
            };
            for event in log::read(&path, seen) {
                seen = event.id;
                yield sse::event(&event.kind, &event).id(event.id.to_string());
            }
            if !goes_on {
                return;
            }
        }
    }
}
