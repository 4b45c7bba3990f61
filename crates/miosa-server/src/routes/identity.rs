//! Who calls: tenant, balance, keys.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use miosa_api::Data;
use miosa_api::error::ErrorBody;
use miosa_api::identity::Tenant;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Caller;
use crate::http::json;
use crate::store::tenants;
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(current_tenant))
        .routes(routes!(tenant_plan))
        .routes(routes!(billing_overview))
        .routes(routes!(credit_balance))
        .routes(routes!(whoami))
        .routes(routes!(runtime_capabilities))
}

/// The tenant of the key.
#[utoipa::path(get, path = "/platform/tenants/current", tag = "identity",
    responses((status = 200, body = Data<Tenant>), (status = 401, body = ErrorBody)))]
async fn current_tenant(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    Ok(json::data(tenant(&app, &caller).await?))
}

/// The same under another name of it.
#[utoipa::path(get, path = "/tenant/plan", tag = "identity",
    responses((status = 200, body = Data<Tenant>), (status = 401, body = ErrorBody)))]
async fn tenant_plan(app: State<App>, caller: Caller) -> Result<Response, ApiError> {
    current_tenant(app, caller).await
}

/// Nothing is billed here, so nothing is owned or owed.
#[utoipa::path(get, path = "/credits/balance", tag = "identity", responses((status = 200, body = Object)))]
async fn credit_balance(caller: Caller) -> Response {
    axum::Json(json!({ "tenant_id": caller.tenant_id, "balance_credits": 0 })).into_response()
}

/// Nothing is billed here; clients read a balance all the same.
#[utoipa::path(get, path = "/billing/overview", tag = "identity", responses((status = 200, body = Object)))]
async fn billing_overview(_: Caller) -> Response {
    json::data(json!({ "available_balance_cents": 0, "plan": "self-hosted" }))
}

/// The tenant and the key.
#[utoipa::path(get, path = "/whoami", tag = "identity", responses((status = 200, body = Object)))]
async fn whoami(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let tenant = tenant(&app, &caller).await?;
    Ok(json::data(
        json!({ "tenant": tenant, "key_id": caller.key_id, "api_key_prefix": caller.key_prefix,
            "scopes": caller.scopes() }),
    ))
}

/// What this server can do, and which of its broker's defences are switched off (none but in tests).
#[utoipa::path(get, path = "/runtime-capabilities", tag = "identity", responses((status = 200, body = Object)))]
async fn runtime_capabilities(State(app): State<App>, _: Caller) -> Response {
    let weakened = app.broker.weakened().await.ok();
    json::data(json!({
        "runtimes": [app.runtime.name()],
        "preview_domain": app.config.preview_domain,
        "version": env!("CARGO_PKG_VERSION"),
        "broker": { "weakened": weakened },
        "connectors": { "brokered_env": true, "plain_env": false },
        "snapshots": true,
        "computers": false,
    }))
}

async fn tenant(app: &App, caller: &Caller) -> Result<Tenant, ApiError> {
    tenants::get(&app.pool, &caller.tenant_id)
        .await?
        .ok_or_else(|| ApiError::not_found("tenant", &caller.tenant_id))
}
