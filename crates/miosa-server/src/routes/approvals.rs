//! What sandboxes ask a person for: listed and answered. The calls wait at the broker.

use axum::extract::State;
use axum::response::Response;
use miosa_api::approval::{AnswerApproval, Approval, ApprovalAnswer, ApprovalStatus};
use miosa_api::error::ErrorBody;
use miosa_api::{Data, List};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path, Query};
use crate::http::page;
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(approve))
        .routes(routes!(deny))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Which {
    /// Only with this status: `pending`, `approved` or `denied`.
    status: Option<ApprovalStatus>,
    /// Only of this sandbox.
    sandbox_id: Option<String>,
}

/// What the tenant's sandboxes ask for, the newest first; an hour back.
#[utoipa::path(get, path = "/actions/approvals", tag = "approvals", params(Which),
    responses((status = 200, body = List<Approval>), (status = 503, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    let mut all = app.broker.approvals(&caller.tenant_id).await?;
    all.retain(|one| {
        which.status.is_none_or(|status| status == one.status)
            && which
                .sandbox_id
                .as_ref()
                .is_none_or(|id| *id == one.sandbox_id)
    });
    Ok(page::whole(all))
}

/// Lets the call pass, once.
#[utoipa::path(post, path = "/actions/approvals/{id}/approve", tag = "approvals", params(("id" = String, Path)),
    request_body = AnswerApproval,
    responses((status = 200, body = Data<Approval>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn approve(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<AnswerApproval>,
) -> Result<Response, ApiError> {
    answer(&app, &caller, id, true, body).await
}

/// Refuses the call; the agent reads the reason.
#[utoipa::path(post, path = "/actions/approvals/{id}/deny", tag = "approvals", params(("id" = String, Path)),
    request_body = AnswerApproval,
    responses((status = 200, body = Data<Approval>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn deny(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<AnswerApproval>,
) -> Result<Response, ApiError> {
    answer(&app, &caller, id, false, body).await
}

async fn answer(
    app: &App,
    caller: &Caller,
    id: String,
    approve: bool,
    body: AnswerApproval,
) -> Result<Response, ApiError> {
    // Who may attach a connector without rules may also say yes under them.
    caller.require(Scope::ConnectorsWrite)?;
    let given = ApprovalAnswer {
        id,
        tenant_id: caller.tenant_id.clone(),
        approve,
        by: caller.key_id.clone(),
        reason: body.reason,
    };
    Ok(json::data(app.broker.answer_approval(&given).await?))
}
