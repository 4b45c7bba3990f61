//! Rules of network policies, and rules that stand alone.

use axum::extract::State;
use axum::response::Response;
use miosa_api::egress::{CreateEgressRule, EgressRule};
use miosa_api::error::ErrorBody;
use miosa_api::{Data, List};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path, Query};
use crate::http::page;
use crate::network::change;
use crate::network::effective::rule_view;
use crate::store::network_rules::{self, Filter};
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(delete))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct ListQuery {
    /// Only of this policy.
    policy_id: String,
    /// `tenant`, `workspace` or `sandbox`.
    resource_type: String,
    /// Which workspace or sandbox.
    resource_id: String,
}

/// The tenant's rules, oldest first.
#[utoipa::path(get, path = "/egress/allowlist", tag = "egress", params(ListQuery),
    responses((status = 200, body = List<EgressRule>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkRead)?;
    let filter = Filter {
        policy_id: query.policy_id,
        resource_type: query.resource_type,
        resource_id: query.resource_id,
    };
    let rows = network_rules::list(&app.pool, &caller.tenant_id, &filter).await?;
    Ok(page::whole(rows.iter().map(rule_view).collect()))
}

/// Adds a rule. It is in force when this answers, on open connections too.
#[utoipa::path(post, path = "/egress/allowlist", tag = "egress", request_body = CreateEgressRule,
    responses((status = 201, body = Data<EgressRule>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateEgressRule>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkWrite)?;
    // Goes on when the caller goes away: a change is never left half in force.
    let work = async move { change::create_rule(&app, &caller.tenant_id, body).await };
    let row = tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::created(rule_view(&row)))
}

/// Removes a rule.
#[utoipa::path(delete, path = "/egress/allowlist/{id}", tag = "egress", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkWrite)?;
    let work = async move { change::delete_rule(&app, &caller.tenant_id, &id).await };
    tokio::spawn(work).await.map_err(ApiError::internal)??;
    Ok(json::no_content())
}
