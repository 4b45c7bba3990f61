//! Runs of agents. `/agent-runs` is the older name of `/runs`; there `provider` names the runner.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get as on_get, post as on_post};
use futures_util::StreamExt;
use http::HeaderMap;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::limits::RUN_WAIT_MAX;
use miosa_api::run::{CreateRun, Run, RunEvent};
use miosa_api::{Data, List};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path, Query, header_text};
use crate::http::page::{self, PageQuery};
use crate::http::sse;
use crate::store::runs::{self, Filter, RunRow};
use crate::store::sandboxes;
use crate::{ApiError, App};

/// Events of one JSON answer.
const EVENTS_DEFAULT: i64 = 1000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get))
        .routes(routes!(events))
        .routes(routes!(activity))
        .routes(routes!(outputs))
        .routes(routes!(messages))
        .routes(routes!(command_output))
        .routes(routes!(files))
        .routes(routes!(cancel))
        .routes(routes!(stop_agents))
        .route("/agent-runs", on_post(create_older).get(list))
        .route("/agent-runs/{id}", on_get(get))
        .route("/agent-runs/{id}/events", on_get(events))
        .route("/agent-runs/{id}/activity", on_get(activity))
        .route("/agent-runs/{id}/outputs", on_get(outputs))
        .route("/agent-runs/{id}/messages", on_get(messages))
        .route("/agent-runs/{id}/command-output", on_get(command_output))
        .route("/agent-runs/{id}/files", on_get(files))
        .route("/agent-runs/{id}/cancel", on_post(cancel))
}

/// Starts an agent in a sandbox. Waits for its end (`wait: false` does not), up to ten minutes.
#[utoipa::path(post, path = "/runs", tag = "runs", request_body = CreateRun,
    responses((status = 201, body = Data<Run>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateRun>,
) -> Result<Response, ApiError> {
    start(app, caller, body, false).await
}

async fn create_older(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateRun>,
) -> Result<Response, ApiError> {
    start(app, caller, body, true).await
}

async fn start(
    app: App,
    caller: Caller,
    body: CreateRun,
    provider_is_runner: bool,
) -> Result<Response, ApiError> {
    caller.require(Scope::RunsWrite)?;
    let wait = body.wait.unwrap_or(true);
    let accepted = crate::runs::accept(body, provider_is_runner)?;
    let sandbox = sandboxes::get(&app.pool, &caller.tenant_id, &accepted.sandbox_id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", &accepted.sandbox_id))?;
    // Goes on when the caller goes away: a run is never left half started.
    let starting = {
        let app = app.clone();
        tokio::spawn(async move { crate::runs::start(&app, &sandbox, accepted).await })
    };
    let run = starting.await.map_err(ApiError::internal)??;
    let run = if wait {
        crate::runs::wait(&app, &run.id, RUN_WAIT_MAX).await?
    } else {
        run
    };
    Ok(json::created(run.view()))
}

/// What a list is narrowed by.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct RunQuery {
    /// Sandbox.
    #[serde(default)]
    target_id: String,
    /// The same.
    #[serde(default)]
    sandbox_id: String,
    /// The same.
    #[serde(default)]
    runtime_id: String,
    /// Status.
    #[serde(default)]
    status: String,
    /// Runner.
    #[serde(default)]
    runner: String,
    /// Rows, without pages.
    limit: Option<i64>,
}

/// Runs of the tenant, newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(RunQuery, PageQuery),
    responses((status = 200, body = List<Run>)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<RunQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::RunsRead)?;
    let sandbox_id = [query.target_id, query.sandbox_id, query.runtime_id]
        .into_iter()
        .find(|id| !id.is_empty());
    let filter = Filter {
        sandbox_id: sandbox_id.unwrap_or_default(),
        status: query.status.replace("cancelled", "canceled"),
        runner: crate::agents::Runner::parse(&query.runner)
            .map_or(query.runner, |r| r.as_str().to_owned()),
    };
    let limit = query
        .limit
        .map_or_else(|| page.limit(), |limit| limit.clamp(1, 100));
    let rows = runs::list(&app.pool, &caller.tenant_id, &filter, limit, page.offset()).await?;
    let total = runs::count(&app.pool, &caller.tenant_id, &filter).await?;
    Ok(page.list(rows.into_iter().map(RunRow::view).collect(), total))
}

pub(super) async fn run(app: &App, caller: &Caller, id: &str) -> Result<RunRow, ApiError> {
    caller.require(Scope::RunsRead)?;
    runs::get(&app.pool, &caller.tenant_id, id)
        .await?
        .ok_or_else(|| ApiError::not_found("run", id))
}

/// One run.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Data<Run>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    Ok(json::data(run(&app, &caller, &id).await?.view()))
}

/// Where to go on.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct AfterQuery {
    /// Only events after this id.
    after_id: Option<i64>,
    /// Rows of a JSON answer.
    limit: Option<i64>,
}

/// What happened, as a list, or with `Accept: text/event-stream` as it happens until the end.
#[utoipa::path(get, path = "/runs/{id}/events", tag = "runs", params(("id" = String, Path), AfterQuery),
    responses((status = 200, body = Data<Vec<RunEvent>>), (status = 404, body = ErrorBody)))]
async fn events(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<AfterQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let run = run(&app, &caller, &id).await?;
    let after = query
        .after_id
        .or_else(|| header_text(&headers, "last-event-id")?.parse().ok())
        .unwrap_or(0);
    if wants_stream(&headers) {
        let told = crate::runs::events(app, run.id, after)
            .map(|event| sse::event(&event.kind, &event).id(event.id.to_string()));
        return Ok(sse::respond(told));
    }
    let limit = query
        .limit
        .unwrap_or(EVENTS_DEFAULT)
        .clamp(1, EVENTS_DEFAULT);
    Ok(json::data(
        runs::events_after(&app.pool, &run.id, after, limit).await?,
    ))
}

/// The same under its other name.
#[utoipa::path(get, path = "/runs/{id}/activity", tag = "runs", params(("id" = String, Path), AfterQuery),
    responses((status = 200, body = Data<Vec<RunEvent>>), (status = 404, body = ErrorBody)))]
async fn activity(
    state: State<App>,
    caller: Caller,
    id: Path<String>,
    query: Query<AfterQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    events(state, caller, id, query, headers).await
}

/// JSON is only the fallback of clients that can read a stream, so the stream wins.
fn wants_stream(headers: &HeaderMap) -> bool {
    header_text(headers, "accept").is_some_and(|accept| accept.contains("text/event-stream"))
}

/// What came of it.
#[utoipa::path(get, path = "/runs/{id}/outputs", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn outputs(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let run = run(&app, &caller, &id).await?.view();
    Ok(json::data(json!({
        "run_id": run.id,
        "status": run.status,
        "output": run.output,
        "error": run.error,
        "exit_code": run.exit_code,
        "session_id": run.session_id,
    })))
}

/// The conversation: the instruction, then what the agent said.
#[utoipa::path(get, path = "/runs/{id}/messages", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn messages(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let run = run(&app, &caller, &id).await?.view();
    let mut messages =
        vec![json!({ "role": "user", "content": run.instruction, "created_at": run.created_at })];
    for event in
        runs::events_after(&app.pool, &run.id, 0, miosa_api::limits::RUN_EVENTS_MAX).await?
    {
        if event.kind == "agent.text" {
            let content = event
                .metadata
                .pointer("/text")
                .or_else(|| event.metadata.pointer("/item/text"));
            let content = content
                .and_then(serde_json::Value::as_str)
                .unwrap_or(&event.message);
            messages.push(
                json!({ "role": "assistant", "content": content, "created_at": event.created_at }),
            );
        }
    }
    Ok(page::whole(messages))
}

/// Standard output and error as they came.
#[utoipa::path(get, path = "/runs/{id}/command-output", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn command_output(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let run = run(&app, &caller, &id).await?.view();
    let stdout = runs::output(&app.pool, &run.id, "stdout").await?;
    let stderr = runs::output(&app.pool, &run.id, "stderr").await?;
    Ok(json::data(json!({
        "run_id": run.id,
        "status": run.status,
        "exit_code": run.exit_code,
        "stdout": stdout,
        "stderr": stderr,
    })))
}

/// Files changed in the working directory since the start.
#[utoipa::path(get, path = "/runs/{id}/files", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn files(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let run = run(&app, &caller, &id).await?;
    let sandbox = sandboxes::get(&app.pool, &caller.tenant_id, &run.sandbox_id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", &run.sandbox_id))?;
    crate::preflight::require_running(&sandbox)?;
    Ok(page::whole(crate::runs::changed(&app, &run).await?))
}

/// Stops the agent; the answer is the run as it then is.
#[utoipa::path(post, path = "/runs/{id}/cancel", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Data<Run>), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::RunsWrite)?;
    let run = run(&app, &caller, &id).await?;
    crate::runs::cancel(&app, &run).await?;
    let run = crate::runs::wait(&app, &run.id, CANCEL_WAIT).await?;
    Ok(json::data(run.view()))
}

/// Longer than the grace a cancelled agent has.
const CANCEL_WAIT: Duration = Duration::from_secs(8);

/// Stops every agent that runs in a sandbox.
#[utoipa::path(post, path = "/sandboxes/{id}/agent/stop", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn stop_agents(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::RunsWrite)?;
    let sandbox = sandboxes::get(&app.pool, &caller.tenant_id, &id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", &id))?;
    let stopped = crate::runs::stop_all(&app, &sandbox.id).await?;
    if stopped.is_empty() {
        return Err(ApiError::new(
            ErrorCode::NoAgentRun,
            format!("no agent runs in the sandbox {id}"),
        ));
    }
    Ok(json::data(json!({ "stopped": stopped.len(), "run_ids": stopped })).into_response())
}
