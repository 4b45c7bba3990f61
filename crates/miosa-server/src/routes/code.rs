//! A piece of Python or JavaScript, run in a fresh interpreter.

use axum::extract::State;
use axum::response::Response;
use miosa_api::error::ErrorBody;
use miosa_api::exec::ExecRequest;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::auth::{Caller, Scope};
use crate::http::json::{self, Json, Path};
use crate::{ApiError, App, command};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(run))
}

#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct RunCode {
    /// The program.
    code: String,
    /// `python` (default) or `javascript`.
    language: Option<String>,
    /// Seconds, at most 600.
    timeout: Option<f64>,
}

/// Runs code and answers with what it printed. Contexts are not kept between calls.
#[utoipa::path(post, path = "/sandboxes/{id}/code/run", tag = "exec", params(("id" = String, Path)), request_body = RunCode,
    responses((status = 200, body = Object), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn run(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<RunCode>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesExec)?;
    let row = access::running(&app, &caller, &id).await?;
    let language = body.language.unwrap_or_else(|| "python".to_owned());
    let interpreter = match language.as_str() {
        "python" | "python3" => "python3 -",
        "javascript" | "js" | "node" => "node -",
        other => {
            return Err(ApiError::invalid(
                "language",
                format!("{other} is neither python nor javascript"),
            ));
        }
    };
    let request = ExecRequest {
        command: interpreter.to_owned(),
        stdin: Some(body.code),
        timeout: body.timeout,
        ..ExecRequest::default()
    };
    let start = command::attached(&app, &row, request).await?;
    let _in_use = app.activity.hold(&id);
    let done = app.guest(&id).exec(&start).await?;
    Ok(json::data(json!({
        "ok": done.exit.code == 0,
        "stdout": String::from_utf8_lossy(&done.stdout),
        "stderr": String::from_utf8_lossy(&done.stderr),
        "result": null,
        "exit_code": done.exit.code,
        "language": language,
    })))
}
