//! Events of a sandbox, or of all of a tenant's, as they happen.

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
use crate::events::Of;
use crate::http::json::{Path, Query, header_text};
use crate::http::sse;
use crate::{ApiError, App, events};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(stream))
        .routes(routes!(of_tenant))
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
    let events = events::follow(
        app,
        Of::Sandbox(id),
        last.or(query.last_event_id).unwrap_or(0),
    );
    Ok(sse::respond(events.map(|event| {
        sse::event(&event.kind, &event).id(event.id.to_string())
    })))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Types {
    /// Comma list of types; `sandbox.exec.*` means all that begin so.
    types: Option<String>,
}

/// Events of all sandboxes: after `Last-Event-ID`, without it from now on.
#[utoipa::path(get, path = "/events/stream", tag = "events", params(After, Types),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn of_tenant(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<After>,
    Query(wanted): Query<Types>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    let last = header_text(&headers, "last-event-id").and_then(|text| text.parse().ok());
    let after = last
        .or(query.last_event_id)
        .unwrap_or_else(|| events::newest(&app));
    let types = wanted.types.unwrap_or_default();
    let told = events::follow(app, Of::Tenant(caller.tenant_id), after)
        .filter(move |event| std::future::ready(fits(&types, &event.kind)));
    Ok(sse::respond(told.map(|event| {
        sse::event(&event.kind, &event).id(event.id.to_string())
    })))
}

fn fits(types: &str, kind: &str) -> bool {
    let mut patterns = types
        .split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .peekable();
    patterns.peek().is_none()
        || patterns.any(|pattern| match pattern.strip_suffix('*') {
            Some(head) => kind.starts_with(head),
            None => kind == pattern,
        })
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn types_are_exact_or_end_in_a_star() {
        assert!(fits("", "sandbox.started"));
        assert!(fits("run.ended, sandbox.*", "sandbox.started"));
        assert!(!fits("sandbox.exec.*", "sandbox.started"));
        assert!(!fits("sandbox", "sandbox.started"));
    }
}
