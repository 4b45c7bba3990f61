//! Hosts without a rule: suggestions, and what waits for a decision.

use axum::extract::State;
use axum::response::Response;
use miosa_api::Data;
use miosa_api::egress::Suggestion;
use miosa_api::error::ErrorBody;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::egress::moment;
use crate::auth::{Caller, Scope};
use crate::http::json::{self, Query};
use crate::network::{Place, hosts};
use crate::{ApiError, App, audit};

const SINCE_DEFAULT: &str = "7d";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(suggestions))
        .routes(routes!(pending))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct HostsQuery {
    /// From then on: RFC 3339, or an age such as `24h`; `7d` when absent.
    since: String,
    /// `sandbox` with a `resource_id`, else `tenant`, when absent.
    resource_type: String,
    /// Which workspace or sandbox.
    resource_id: String,
}

impl HostsQuery {
    async fn read(&self, app: &App, caller: &Caller) -> Result<(Place, i64), ApiError> {
        let (kind, id) = (&self.resource_type, &self.resource_id);
        let place = Place::read(app, &caller.tenant_id, Some(kind), Some(id)).await?;
        let since = if self.since.is_empty() {
            SINCE_DEFAULT
        } else {
            &self.since
        };
        Ok((place, moment("since", since)?.unwrap_or(0)))
    }
}

/// Hosts that were asked for and have no rule, with the rule that would allow each.
#[utoipa::path(get, path = "/egress/audit/suggestions", tag = "egress", params(HostsQuery),
    responses((status = 200, body = Data<Vec<Suggestion>>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn suggestions(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<HostsQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::AuditRead)?;
    let (place, since_ms) = query.read(&app, &caller).await?;
    audit::catch_up(&app).await?;
    Ok(json::data(
        hosts::suggestions(&app, &place, since_ms).await?,
    ))
}

/// Hosts that were refused and wait for a decision.
#[utoipa::path(get, path = "/egress/pending", tag = "egress", params(HostsQuery),
    responses((status = 200, body = Data<Vec<Suggestion>>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn pending(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<HostsQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::AuditRead)?;
    let (place, since_ms) = query.read(&app, &caller).await?;
    audit::catch_up(&app).await?;
    Ok(json::data(hosts::pending(&app, &place, since_ms).await?))
}
