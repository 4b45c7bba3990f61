//! Starting a run: every reason to refuse first, then files, process, follower.

use std::time::Duration;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miosa_api::error::ErrorCode;
use miosa_api::guest::ExecStart;
use miosa_api::id::RunId;
use miosa_api::limits::{RUN_TIMEOUT_DEFAULT, RUN_TIMEOUT_MAX};
use miosa_api::run::{CreateRun, RunStatus};
use serde_json::json;

use super::{end, end_without_process, files, follow, save};
use crate::agents::{AgentEvent, AgentPlan, RunContext, Runner, plan};
use crate::clock::now_ms;
use crate::store::runs::{self, Progress, RunRow};
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, bindings, env, events, preflight};

/// A request whose fields hold together.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The sandbox asked for.
    pub sandbox_id: String,
    runner: Runner,
    timeout: Duration,
    request: CreateRun,
}

/// Checks the fields. `provider` is the runner's older name (on `/agent-runs`).
pub fn accept(request: CreateRun, provider_is_runner: bool) -> Result<Accepted, ApiError> {
    let older = request.provider.as_deref().filter(|_| provider_is_runner);
    let name = request.runner.as_deref().or(older).unwrap_or("claude-code");
    let runner = Runner::parse(name).ok_or_else(|| {
        ApiError::new(
            ErrorCode::UnknownHarness,
            format!("there is no agent runner `{name}`"),
        )
        .with_hint("runners: claude-code, codex, custom")
    })?;
    if request.instruction.trim().is_empty() {
        return Err(ApiError::invalid(
            "instruction",
            "say what the agent shall do",
        ));
    }
    if runner == Runner::Custom
        && request
            .command
            .as_deref()
            .is_none_or(|c| c.trim().is_empty())
    {
        return Err(ApiError::invalid(
            "command",
            "the runner `custom` needs one",
        ));
    }
    let target = [&request.target_id, &request.sandbox_id, &request.runtime_id]
        .into_iter()
        .flatten()
        .next();
    let sandbox_id = target
        .cloned()
        .ok_or_else(|| ApiError::invalid("target_id", "name a sandbox"))?;
    if request
        .target_kind
        .as_deref()
        .is_some_and(|kind| kind != "sandbox")
    {
        return Err(ApiError::invalid("target_kind", "it is `sandbox`"));
    }
    for name in request.env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(ApiError::invalid(
                "env",
                format!("{name:?} is no variable's name"),
            ));
        }
    }
    Ok(Accepted {
        sandbox_id,
        runner,
        timeout: timeout(request.timeout)?,
        request,
    })
}

fn timeout(seconds: Option<f64>) -> Result<Duration, ApiError> {
    let Some(seconds) = seconds else {
        return Ok(RUN_TIMEOUT_DEFAULT);
    };
    match Duration::try_from_secs_f64(seconds) {
        Ok(timeout) if timeout.is_zero() => {
            Err(ApiError::invalid("timeout", "it is more than 0 seconds"))
        }
        Ok(timeout) if timeout <= RUN_TIMEOUT_MAX => Ok(timeout),
        Ok(_) => Err(ApiError::new(
            ErrorCode::TimeoutTooLong,
            format!("a run takes at most {} seconds", RUN_TIMEOUT_MAX.as_secs()),
        )),
        Err(_) => Err(ApiError::invalid("timeout", "it is a number of seconds")),
    }
}

/// Starts the agent and the task that follows it; the run as it is then.
pub async fn start(
    app: &App,
    sandbox: &SandboxRow,
    accepted: Accepted,
) -> Result<RunRow, ApiError> {
    preflight::require_running(sandbox)?;
    let request = &accepted.request;
    let bound = match &request.connector {
        Some(key) => preflight::require_bound(app, sandbox, key).await?,
        None => bindings::live(app, &sandbox.id).await?,
    };
    let context = RunContext {
        run_id: RunId::new().to_string(),
        instruction: request.instruction.clone(),
        model: request.model.clone().filter(|model| !model.is_empty()),
        cwd: request
            .cwd
            .clone()
            .unwrap_or_else(|| sandbox.image().workdir),
        command: request.command.clone(),
        connectors: bound.iter().map(bindings::Bound::for_agent).collect(),
        env: env::compose(app, sandbox, &request.env).await?,
    };
    let _in_use = app.activity.hold(&sandbox.id);
    preflight::require_agent(app, sandbox, accepted.runner, &context).await?;
    let run = insert(app, sandbox, &accepted, &context).await?;
    let planned = plan(accepted.runner, &context);
    match launch(app, sandbox, &run, planned, context, accepted.timeout).await {
        Ok(run) => {
            follow::spawn(app, run.clone());
            Ok(run)
        }
        Err(error) => {
            end_without_process(
                app,
                &run,
                end::failed(&format!("the agent was not started: {}", error.message)),
            )
            .await?;
            Err(error)
        }
    }
}

async fn insert(
    app: &App,
    sandbox: &SandboxRow,
    accepted: &Accepted,
    context: &RunContext,
) -> Result<RunRow, ApiError> {
    let run = RunRow {
        id: context.run_id.clone(),
        tenant_id: sandbox.tenant_id.clone(),
        sandbox_id: sandbox.id.clone(),
        runner: accepted.runner.as_str().to_owned(),
        status: RunStatus::Queued.as_str().to_owned(),
        instruction: context.instruction.clone(),
        model: context.model.clone(),
        cwd: context.cwd.clone(),
        connector: accepted.request.connector.clone(),
        metadata: json!(accepted.request.metadata).to_string(),
        created_at: now_ms(),
        ..RunRow::default()
    };
    runs::insert(&app.pool, &run).await?;
    Ok(run)
}

async fn launch(
    app: &App,
    sandbox: &SandboxRow,
    run: &RunRow,
    planned: AgentPlan,
    context: RunContext,
    timeout: Duration,
) -> Result<RunRow, ApiError> {
    let guest = app.guest(&sandbox.id);
    for file in planned.files {
        let mode = format!("{:04o}", file.mode);
        guest
            .write(&file.path, Some(&mode), Body::from(file.content))
            .await?;
    }
    guest
        .write(&files::marker(&run.id), None, Body::from(""))
        .await?;
    let mut env = context.env;
    env.extend(planned.env);
    let command = ExecStart {
        argv: planned.argv,
        cwd: Some(context.cwd),
        env,
        stdin_base64: planned.stdin.map(|bytes| STANDARD.encode(bytes)),
        timeout_ms: Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
        name: Some(format!("run {}", run.id)),
        ..ExecStart::default()
    };
    let process = guest.start(&command).await?;
    runs::set_started(&app.pool, &run.id, &process.id, now_ms()).await?;
    let started = AgentEvent::new(
        "run.started",
        &format!("{} started", run.runner),
        &json!({ "pid": process.pid }),
    );
    save(
        app,
        &run.id,
        &Progress {
            events: vec![started],
            ..Progress::default()
        },
    )
    .await?;
    let facts = json!({ "run_id": run.id, "runner": run.runner });
    events::emit(
        app,
        &sandbox.tenant_id,
        &sandbox.id,
        "sandbox.run.started",
        facts,
    )
    .await;
    super::one(app, &run.id).await
}

#[cfg(test)]
mod tests {
    use miosa_api::error::ErrorCode;
    use miosa_api::run::CreateRun;

    use super::accept;
    use crate::agents::Runner;

    fn request() -> CreateRun {
        CreateRun {
            instruction: "make a page".into(),
            target_id: Some("s".into()),
            ..CreateRun::default()
        }
    }

    #[test]
    fn the_provider_is_the_runner_on_the_older_route_alone() {
        let with = |provider: &str| CreateRun {
            provider: Some(provider.into()),
            ..request()
        };
        assert_eq!(accept(with("codex"), true).unwrap().runner, Runner::Codex);
        assert_eq!(
            accept(with("anthropic"), false).unwrap().runner,
            Runner::ClaudeCode
        );
        assert_eq!(
            accept(with("anthropic"), true).unwrap_err().code,
            ErrorCode::UnknownHarness
        );
        let both = CreateRun {
            runner: Some("codex".into()),
            ..with("claude")
        };
        assert_eq!(accept(both, true).unwrap().runner, Runner::Codex);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn what_cannot_be_started_is_refused_with_its_field() {
        let rows = [
            (
                CreateRun {
                    instruction: "  ".into(),
                    ..request()
                },
                ErrorCode::ValidationFailed,
            ),
            (
                CreateRun {
                    target_id: None,
                    ..request()
                },
                ErrorCode::ValidationFailed,
            ),
            (
                CreateRun {
                    target_kind: Some("computer".into()),
                    ..request()
                },
                ErrorCode::ValidationFailed,
            ),
            (
                CreateRun {
                    runner: Some("custom".into()),
                    ..request()
                },
                ErrorCode::ValidationFailed,
            ),
            (
                CreateRun {
                    runner: Some("hermes".into()),
                    ..request()
                },
                ErrorCode::UnknownHarness,
            ),
            (
                CreateRun {
                    timeout: Some(0.0),
                    ..request()
                },
                ErrorCode::ValidationFailed,
            ),
            (
                CreateRun {
                    timeout: Some(-1.0),
                    ..request()
                },
                ErrorCode::ValidationFailed,
            ),
            (
                CreateRun {
                    timeout: Some(f64::NAN),
                    ..request()
                },
                ErrorCode::ValidationFailed,
            ),
            (
                CreateRun {
                    timeout: Some(86_401.0),
                    ..request()
                },
                ErrorCode::TimeoutTooLong,
            ),
            (
                CreateRun {
                    env: [("A=B".to_owned(), "x".to_owned())].into(),
                    ..request()
                },
                ErrorCode::ValidationFailed,
            ),
        ];
        for (bad, code) in rows {
            let shown = format!("{bad:?}");
            assert_eq!(accept(bad, false).unwrap_err().code, code, "{shown}");
        }
        let runtime = CreateRun {
            target_id: None,
            runtime_id: Some("r".into()),
            timeout: Some(86_400.0),
            ..request()
        };
        assert_eq!(accept(runtime, false).unwrap().sandbox_id, "r");
    }
}
