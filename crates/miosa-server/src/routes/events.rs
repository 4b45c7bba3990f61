//! Events of a sandbox as they happen.

use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt;
use http::HeaderMap;
use miosa_api::error::ErrorBody;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::http::json::{Path, Query, header_text};
use crate::http::sse;
use crate::{ApiError, App, events};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(stream))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct After {
    /// As the header `Last-Event-ID`, for callers that cannot set it.
    last_event_id: Option<i64>,
}

/// Events after `Last-Event-ID`, from the beginning without it, for as long as the caller listens.
#[utoipa::path(get, path = "/sandboxes/{id}/events", tag = "events", params(("id" = String, Path), After),
    responses((status = 200, body = String, content_type = "text/event-stream"), (status = 404, body = ErrorBody)))]
async fn stream(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::sandbox(&app, &caller, &id).await?;
    let last = header_text(&headers, "last-event-id").and_then(|text| text.parse().ok());
    let events = events::follow(app, id, last.or(query.last_event_id).unwrap_or(0));
    Ok(sse::respond(events.map(|event| {
        sse::event(&event.kind, &event).id(event.id.to_string())
    })))
}
