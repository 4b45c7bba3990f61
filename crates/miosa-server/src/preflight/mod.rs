//! Preflight: proves, live and from inside the sandbox, that an agent can start and that a connector's
//! credential works where it belongs and nowhere else.
//!
//! The sandbox runs `curl` with its placeholder, exactly as an agent would. What it answers is the
//! sandbox's own word: one that lies deceives only itself, since the broker decides every request anew.

mod attempts;
mod judge;
mod require;
mod runtimes;
mod script;
mod search;

use std::collections::BTreeMap;

use miosa_api::error::ErrorCode;
use miosa_api::guest::ExecStart;
use miosa_api::limits::PREFLIGHT_TIMEOUT;
use miosa_api::preflight::{Preflight, PreflightRequest, PreflightStatus, PreflightStep, StepCode};
use serde_json::json;

pub use require::{require_agent, require_bound, require_running};

use crate::agents::Runner;
use crate::bindings::{self, Bound};
use crate::clock::now_ms;
use crate::guest::Finished;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, env};

/// Runs every step. Passed, or `PREFLIGHT_FAILED` with the steps in `details`.
pub async fn run(
    app: &App,
    sandbox: &SandboxRow,
    request: &PreflightRequest,
) -> Result<Preflight, ApiError> {
    require_running(sandbox)?;
    let bound = match &request.connector {
        Some(key) => require_bound(app, sandbox, key).await?,
        None => bindings::live(app, &sandbox.id).await?,
    };
    let runner = match &request.provider {
        Some(name) => Some(Runner::parse(name).ok_or_else(|| {
            ApiError::new(
                ErrorCode::UnknownHarness,
                format!("there is no agent runner `{name}`"),
            )
        })?),
        None => None,
    };
    let checks = script::Checks {
        cwd: request
            .cwd
            .clone()
            .unwrap_or_else(|| sandbox.image().workdir),
        program: runner.and_then(Runner::program),
        settings: runner.map_or(&[], Runner::settings),
        bound: &bound,
    };
    let _in_use = app.activity.hold(&sandbox.id);
    let env = env::compose(app, sandbox, &BTreeMap::new()).await?;
    let (seen, gathered) = tokio::try_join!(
        look(app, sandbox, &checks, &env),
        search::gather(app, sandbox, &checks.cwd, &env),
    )?;
    let mut steps = vec![bound_step(&bound)];
    steps.extend(defences_step(&app.broker.weakened().await?));
    steps.extend(judge::steps(&checks, runner, &seen, now_ms() / 1000));
    if !bound.is_empty() {
        steps.push(search::step(app, sandbox, &bound, gathered, &seen).await?);
    }
    passed_or_failed(steps, !bound.is_empty())
}

async fn look(
    app: &App,
    sandbox: &SandboxRow,
    checks: &script::Checks<'_>,
    env: &BTreeMap<String, String>,
) -> Result<script::Seen, ApiError> {
    let command = ExecStart {
        argv: ["sh", "-c", &script::text(checks)]
            .map(str::to_owned)
            .to_vec(),
        env: env.clone(),
        timeout_ms: Some(u64::try_from(PREFLIGHT_TIMEOUT.as_millis()).unwrap_or(u64::MAX)),
        ..ExecStart::default()
    };
    let guest = app.guest(&sandbox.id);
    let done: Finished =
        match tokio::time::timeout(PREFLIGHT_TIMEOUT * 2, guest.exec(&command)).await {
            Ok(done) => done?,
            Err(_) => {
                return Err(ApiError::new(
                    ErrorCode::AgentUnavailable,
                    "the sandbox did not run the preflight in time",
                ));
            }
        };
    Ok(script::parse(&String::from_utf8_lossy(&done.stdout)))
}

fn bound_step(bound: &[Bound]) -> PreflightStep {
    let list: Vec<String> = bound
        .iter()
        .map(|b| format!("{} in {}", b.connector.uid, b.row.env_name))
        .collect();
    let detail = if list.is_empty() {
        "no connector is attached".to_owned()
    } else {
        list.join(", ")
    };
    judge::good("bound", detail)
}

/// A broker with a defence switched off passes no preflight, whatever was seen.
fn defences_step(weakened: &[String]) -> Option<PreflightStep> {
    let list = weakened.join(", ");
    (!weakened.is_empty()).then(|| {
        judge::bad(
            "defences",
            StepCode::DefencesOff,
            format!("the broker has defences switched off: {list}"),
            "this is a build for tests; run a released `miosa`",
        )
    })
}

fn passed_or_failed(steps: Vec<PreflightStep>, bound: bool) -> Result<Preflight, ApiError> {
    let Some(first) = steps.iter().find(|step| !step.ok) else {
        return Ok(Preflight {
            ok: true,
            status: PreflightStatus { bound },
            steps,
        });
    };
    let mut error = ApiError::new(
        ErrorCode::PreflightFailed,
        format!("the preflight failed at `{}`: {}", first.name, first.detail),
    );
    error.hint.clone_from(&first.hint);
    Err(error.with_details(json!({ "steps": steps })))
}
