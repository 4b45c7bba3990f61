//! What a sandbox may call of the MCP servers of its connectors.

use axum::extract::State;
use axum::response::Response;
use miosa_api::List;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::mcp::McpTool;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::http::json::{Path, Query};
use crate::http::page;
use crate::{ApiError, App, bindings, policy};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(tools))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Which {
    /// Uid of one connector; all that have an MCP server when absent.
    connector: String,
}

/// The tools of a sandbox's MCP servers, each with whether it may be called and what decides. The broker asks the
/// servers, with their credentials, and writes it down.
#[utoipa::path(get, path = "/sandboxes/{id}/mcp/tools", tag = "sandbox connectors", params(("id" = String, Path), Which),
    responses((status = 200, body = List<McpTool>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn tools(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    // A credential is used, as by a preflight.
    caller.require(Scope::ConnectorsRead)?;
    let row = access::sandbox(&app, &caller, &id).await?;
    let connector = Some(which.connector).filter(|uid| !uid.is_empty());
    if let Some(uid) = &connector {
        let bound = bindings::live(&app, &row.id).await?;
        let has_server = |it: &bindings::Bound| {
            it.connector.uid == *uid && it.definition.as_ref().is_some_and(|d| d.mcp.is_some())
        };
        if !bound.iter().any(has_server) {
            let message = format!("no connector `{uid}` with an MCP server is attached");
            return Err(ApiError::new(ErrorCode::ConnectorNotBound, message));
        }
    }
    if !policy::has_network(&row) {
        policy::push(&app, &row.id).await?;
    }
    Ok(page::whole(app.broker.mcp_tools(&row.id, connector).await?))
}
