//! Where one sandbox may go, and why a request of it would pass or not.

use axum::extract::State;
use axum::response::Response;
use miosa_api::Data;
use miosa_api::broker::Explain;
use miosa_api::egress::{EffectivePolicy, Explanation};
use miosa_api::error::ErrorBody;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::http::json::{self, Path, Query};
use crate::network::Effective;
use crate::{ApiError, App, bindings, policy};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get))
        .routes(routes!(explain))
}

/// What the policies and rules of tenant, workspace, sandbox and template come to.
#[utoipa::path(get, path = "/sandboxes/{id}/egress", tag = "egress", params(("id" = String, Path)),
    responses((status = 200, body = Data<EffectivePolicy>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkRead)?;
    let row = access::sandbox(&app, &caller, &id).await?;
    let effective = Effective::of(&app, &row).await?;
    let bound = bindings::live(&app, &row.id).await?;
    let definitions = bound.into_iter().filter_map(|bound| bound.definition);
    Ok(json::data(EffectivePolicy {
        mode: effective.mode,
        set_by: effective.set_by,
        rules: effective.rules,
        bound: definitions.flat_map(|d| d.endpoint_texts()).collect(),
    }))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct Question {
    /// Absolute address.
    url: String,
    /// `GET` when absent.
    method: String,
}

/// What would become of a request of this sandbox, and why: the broker's own decision; nothing is sent.
#[utoipa::path(get, path = "/sandboxes/{id}/egress/explain", tag = "egress", params(("id" = String, Path), Question),
    responses((status = 200, body = Data<Explanation>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
async fn explain(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(question): Query<Question>,
) -> Result<Response, ApiError> {
    caller.require(Scope::NetworkRead)?;
    let row = access::sandbox(&app, &caller, &id).await?;
    let method = match question.method.as_str() {
        "" => "GET".to_owned(),
        method => method.to_ascii_uppercase(),
    };
    if question.url.is_empty() {
        let why = "give the address to ask about, such as https://api.example.com/v1";
        return Err(ApiError::invalid("url", why));
    }
    if !policy::has_network(&row) {
        // The broker may have none of it, or one of its last life.
        policy::push(&app, &row.id).await?;
    }
    let question = Explain {
        method,
        url: question.url,
    };
    Ok(json::data(app.broker.explain(&row.id, &question).await?))
}
