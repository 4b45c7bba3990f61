//! The API: one file per noun, one line per noun here.

pub(crate) mod access;
mod approvals;
mod code;
mod commands;
mod connect;
mod device_login;
mod document;
mod egress;
mod egress_bindings;
mod egress_hosts;
mod egress_policies;
mod egress_rules;
mod egress_secrets;
mod env;
mod events;
mod exec;
mod exports;
mod files;
mod files_json;
mod identity;
mod keys;
mod lifecycle;
mod logs;
mod measure;
mod previews;
mod run_results;
mod runs;
mod sandbox_connectors;
mod sandbox_egress;
mod sandbox_mcp;
mod sandboxes;
mod services;
mod shares;
mod snapshot_history;
mod snapshots;
mod template_builds;
mod templates;
mod usage;
mod workspaces;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode, Uri};
use miosa_api::error::ErrorCode;
use utoipa_axum::router::OpenApiRouter;

use crate::http::entry;
use crate::http::idempotency;
use crate::{ApiError, App, auth};

/// Routes that need a key.
fn keyed() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(identity::routes())
        .merge(keys::routes())
        .merge(device_login::routes())
        .merge(sandboxes::routes())
        .merge(lifecycle::routes())
        .merge(measure::routes())
        .merge(exec::routes())
        .merge(commands::routes())
        .merge(services::routes())
        .merge(code::routes())
        .merge(files::routes())
        .merge(files_json::routes())
        .merge(env::routes())
        .merge(logs::routes())
        .merge(events::routes())
        .merge(connect::routes())
        .merge(sandbox_connectors::routes())
        .merge(runs::routes())
        .merge(run_results::routes())
        .merge(egress::routes())
        .merge(egress_policies::routes())
        .merge(egress_rules::routes())
        .merge(egress_hosts::routes())
        .merge(egress_secrets::routes())
        .merge(egress_bindings::routes())
        .merge(sandbox_egress::routes())
        .merge(sandbox_mcp::routes())
        .merge(approvals::routes())
        .merge(templates::routes())
        .merge(previews::routes())
        .merge(shares::routes())
        .merge(exports::routes())
        .merge(workspaces::routes())
        .merge(snapshots::routes())
        .merge(snapshot_history::routes())
        .merge(usage::routes())
}

/// Routes that need none.
fn open() -> OpenApiRouter<App> {
    document::routes().merge(device_login::open_routes())
}

fn documented(keyed: OpenApiRouter<App>) -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::base())
        .nest(entry::API, keyed.merge(open()))
        .merge(document::root_routes())
}

/// The API's description.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    document::finish(documented(keyed()).into_openapi())
}

/// The whole server as one router.
pub(crate) fn router(app: App) -> Router {
    let keyed = keyed()
        .route_layer(from_fn_with_state(app.clone(), idempotency::once))
        .route_layer(from_fn_with_state(app.clone(), auth::require_key));
    let (api, _) = documented(keyed).split_for_parts();
    let api = api
        .fallback(no_route)
        .layer(axum::middleware::from_fn(canonical_errors))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(app.clone());
    entry::router(app, api)
}

async fn no_route(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        format!("there is no route {method} {}", uri.path()),
    )
}

/// 405 comes from the router without a body.
async fn canonical_errors(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let response = next.run(request).await;
    if response.status() == StatusCode::METHOD_NOT_ALLOWED
        && response.headers().get(http::header::CONTENT_TYPE).is_none()
    {
        let mut canonical = ApiError::new(
            ErrorCode::MethodNotAllowed,
            format!("this route does not take {method}"),
        )
        .into_response();
        if let Some(allow) = response.headers().get(http::header::ALLOW) {
            canonical
                .headers_mut()
                .insert(http::header::ALLOW, allow.clone());
        }
        return canonical;
    }
    response
}
