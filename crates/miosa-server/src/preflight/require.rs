//! What must be so before anything is tried, each with its own code.

use miosa_api::error::ErrorCode;
use miosa_api::guest::ExecStart;
use miosa_api::sandbox::SandboxState;

use crate::agents::{RunContext, Runner};
use crate::bindings::{self, Bound};
use crate::connectors::stored;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App};

/// Exit statuses of [`LOOK`].
const NO_PROGRAM: i32 = 41;
const NO_FOLDER: i32 = 42;
const LOOK: &str =
    "[ -d \"$2\" ] || exit 42; [ -z \"$1\" ] || command -v \"$1\" >/dev/null || exit 41";

/// Refuses a sandbox that does not run.
pub fn require_running(sandbox: &SandboxRow) -> Result<(), ApiError> {
    match sandbox.state() {
        SandboxState::Running => Ok(()),
        SandboxState::Creating => Err(ApiError::new(
            ErrorCode::SandboxStarting,
            "the sandbox is starting",
        )
        .with_hint("wait for it with `miosa sandbox wait`")),
        state => {
            let hint = match state {
                SandboxState::Paused => "resume it first with `miosa sandbox resume`",
                _ => "`miosa sandbox get` says why",
            };
            Err(ApiError::new(
                ErrorCode::SandboxNotRunning,
                format!("the sandbox is {}", state.as_str()),
            )
            .with_hint(hint))
        }
    }
}

/// The live bindings of a sandbox, if this connector is among them; it comes first.
pub async fn require_bound(
    app: &App,
    sandbox: &SandboxRow,
    key: &str,
) -> Result<Vec<Bound>, ApiError> {
    let mut bound = bindings::live(app, &sandbox.id).await?;
    let is_it = |b: &Bound| b.connector.uid == key || b.connector.id == key || b.row.id == key;
    if let Some(index) = bound.iter().position(is_it) {
        bound[..=index].rotate_right(1);
        return Ok(bound);
    }
    // Tells a connector that is not attached from one that does not exist.
    let default_env_name = stored::get(app, &sandbox.tenant_id, key)
        .await?
        .default_env_name;
    Err(ApiError::new(
        ErrorCode::ConnectorNotBound,
        format!("{key} is not attached to this sandbox"),
    )
    .with_hint(format!(
        "attach it: `miosa sandbox connectors attach {} {key} --env {default_env_name}`",
        sandbox.id
    )))
}

/// Refuses a run whose program or folder is not in the sandbox.
pub async fn require_agent(
    app: &App,
    sandbox: &SandboxRow,
    runner: Runner,
    run: &RunContext,
) -> Result<(), ApiError> {
    let program = runner.program().unwrap_or_default();
    let command = ExecStart {
        argv: ["sh", "-c", LOOK, "sh", program, &run.cwd]
            .map(str::to_owned)
            .to_vec(),
        env: run.env.clone(),
        timeout_ms: Some(10_000),
        ..ExecStart::default()
    };
    match app.guest(&sandbox.id).exec(&command).await?.exit.code {
        NO_PROGRAM => Err(ApiError::new(
            ErrorCode::AgentNotInstalled,
            format!("the program `{program}` is not in this sandbox"),
        )
        .with_hint(runner.install_hint())),
        NO_FOLDER => Err(ApiError::invalid(
            "cwd",
            format!("there is no folder {:?} in the sandbox", run.cwd),
        )),
        _ => Ok(()),
    }
}
