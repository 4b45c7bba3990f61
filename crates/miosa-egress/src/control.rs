//! The server's socket: policies in, status out. See [`miosa_api::broker`] for the protocol.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use futures_util::StreamExt;
use miosa_api::approval::{Approval, ApprovalAnswer, AskApprovals};
use miosa_api::broker::{
    AskMcpTools, BrokerStatus, Explain, PolicyApplied, Reveal, Revealed, SandboxPolicy, Scanned,
};
use miosa_api::budget::{AskBudgetUse, BudgetUse};
use miosa_api::egress::Explanation;
use miosa_api::error::{ErrorBody, ErrorDetail};
use miosa_api::limits::{JSON_BODY_BYTES_MAX, PREFLIGHT_SEARCH_BYTES_MAX};
use miosa_api::mcp::McpTool;

use crate::approval::AnswerError;
use crate::broker::{ApplyError, Broker};
use crate::error::chain;
use crate::mcp;
use crate::own_refusal::own_refusal;
use crate::policy::{Destination, Host, Question};

/// The routes.
pub fn router(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/session", get(session))
        .route("/v1/sandboxes/{id}", put(apply).delete(forget))
        .route("/v1/sandboxes/{id}/explain", post(explain))
        .route("/v1/sandboxes/{id}/mcp-tools", post(mcp_tools))
        .route("/v1/budget-use", post(budget_use))
        .route("/v1/approvals", post(approvals))
        .route("/v1/approvals/answer", post(answer_approval))
        .route("/v1/reveal", post(reveal))
        .layer(DefaultBodyLimit::max(JSON_BODY_BYTES_MAX))
        .merge(
            Router::new()
                .route("/v1/sandboxes/{id}/scan", post(scan))
                .layer(DefaultBodyLimit::max(PREFLIGHT_SEARCH_BYTES_MAX)),
        )
        .with_state(broker)
}

async fn status(State(broker): State<Arc<Broker>>) -> Json<BrokerStatus> {
    Json(broker.status())
}

/// Answers at once; the body ends when the broker does.
async fn session(State(broker): State<Arc<Broker>>) -> Body {
    let end = broker.cancel().clone().cancelled_owned();
    let begin =
        futures_util::stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"\n")) });
    let rest = futures_util::stream::once(end).filter_map(|()| async { None });
    Body::from_stream(begin.chain(rest))
}

async fn apply(
    State(broker): State<Arc<Broker>>,
    Path(id): Path<String>,
    Json(policy): Json<SandboxPolicy>,
) -> Result<Json<PolicyApplied>, Response> {
    broker.apply(&id, policy).map(Json).map_err(|error| {
        let (status, code) = match error {
            ApplyError::Stale { .. } => (StatusCode::CONFLICT, "GENERATION_CONFLICT"),
            ApplyError::OtherTenant => (StatusCode::CONFLICT, "TENANT_CONFLICT"),
            ApplyError::Full => (StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_SANDBOXES"),
            ApplyError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "POLICY_INVALID"),
        };
        refuse(status, code, &error)
    })
}

async fn forget(State(broker): State<Arc<Broker>>, Path(id): Path<String>) -> StatusCode {
    broker.forget(&id);
    StatusCode::NO_CONTENT
}

/// Says what would become of a request; nothing is sent, nothing written down.
async fn explain(
    State(broker): State<Arc<Broker>>,
    Path(id): Path<String>,
    Json(Explain { method, url }): Json<Explain>,
) -> Result<Json<Explanation>, Response> {
    let question = Question::parse(&method, &url)
        .map_err(|error| refuse(StatusCode::UNPROCESSABLE_ENTITY, "QUESTION_INVALID", &error))?;
    let Some(policy) = broker.policy(&id) else {
        let text = "no policy of this sandbox is in force";
        return Err(answer(StatusCode::NOT_FOUND, "NO_POLICY", text.to_owned()));
    };
    let dial = |to: &Destination| match to.host {
        Host::Address(address) => broker
            .upstream()
            .judge(address, &policy)
            .map_err(|error| own_refusal(error.code())),
        Host::Name(_) => Ok(()),
    };
    Ok(Json(policy.explain(&question, dial)))
}

/// Says whose value is in the bytes; the values themselves go nowhere.
async fn scan(
    State(broker): State<Arc<Broker>>,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Json<Scanned>, Response> {
    let found = broker
        .scan(&id, &bytes)
        .map_err(|error| refuse(StatusCode::UNPROCESSABLE_ENTITY, "NOT_OPENED", &error))?;
    Ok(Json(Scanned { found }))
}

/// Asks a sandbox's MCP servers for their tools.
async fn mcp_tools(
    State(broker): State<Arc<Broker>>,
    Path(id): Path<String>,
    Json(AskMcpTools { connector }): Json<AskMcpTools>,
) -> Result<Json<Vec<McpTool>>, Response> {
    let Some(generation) = broker.current(&id) else {
        let text = "no policy of this sandbox is in force";
        return Err(answer(StatusCode::NOT_FOUND, "NO_POLICY", text.to_owned()));
    };
    let tools = mcp::list_tools(&broker, &id, &generation, connector.as_deref()).await;
    tools.map(Json).map_err(|refusal| {
        let code = refusal.code.as_str();
        answer(
            StatusCode::BAD_GATEWAY,
            code,
            format!("{} {}", refusal.message, refusal.hint),
        )
    })
}

async fn budget_use(
    State(broker): State<Arc<Broker>>,
    Json(asked): Json<AskBudgetUse>,
) -> Json<BudgetUse> {
    Json(broker.budgets().used(&asked.connector_id, &asked.tenant_id))
}

async fn approvals(
    State(broker): State<Arc<Broker>>,
    Json(asked): Json<AskApprovals>,
) -> Json<Vec<Approval>> {
    Json(broker.approvals().list(&asked.tenant_id))
}

async fn answer_approval(
    State(broker): State<Arc<Broker>>,
    Json(given): Json<ApprovalAnswer>,
) -> Result<Json<Approval>, Response> {
    broker.approvals().answer(given).map(Json).map_err(|error| {
        let (status, code) = match error {
            AnswerError::Unknown => (StatusCode::NOT_FOUND, "APPROVAL_UNKNOWN"),
            AnswerError::Answered => (StatusCode::CONFLICT, "APPROVAL_ANSWERED"),
        };
        refuse(status, code, &error)
    })
}

async fn reveal(
    State(broker): State<Arc<Broker>>,
    Json(Reveal { sealed }): Json<Reveal>,
) -> Result<Json<Revealed>, Response> {
    if sealed.managed {
        let text = "a managed credential is never revealed";
        return Err(answer(StatusCode::FORBIDDEN, "MANAGED", text.to_owned()));
    }
    // A false `managed` does not open: it is part of what the ciphertext is bound to.
    let value = broker
        .open(&sealed)
        .map_err(|error| refuse(StatusCode::UNPROCESSABLE_ENTITY, "NOT_OPENED", &error))?;
    tracing::info!(
        secret = sealed.secret_id,
        owner = sealed.owner,
        "a secret was revealed"
    );
    Ok(Json(Revealed {
        value: value.expose().to_owned(),
    }))
}

fn refuse(status: StatusCode, code: &str, error: &dyn std::error::Error) -> Response {
    answer(status, code, chain(error))
}

fn answer(status: StatusCode, code: &str, message: String) -> Response {
    let error = ErrorDetail {
        code: code.to_owned(),
        message,
        ..ErrorDetail::default()
    };
    (status, Json(ErrorBody { error })).into_response()
}
