//! Letting an agent work: `prompt`, and `run-agent` in the API's words.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use miosa_api::preflight::PreflightRequest;
use miosa_api::run::{Run, RunEvent};
use miosa_client::{Answer, Client, EventStream};
use serde_json::{Map, Value, json};

use crate::cli::error::{CliError, Result};
use crate::cli::printer::Printer;
use crate::cli::{runs, shell, units};

/// Shown in the help.
pub const EXAMPLES: &str = "Examples:\n  \
    miosa sandbox prompt <id> --provider claude --connector refero/design-research --preflight --cwd /workspace -- \"make a page\"\n  \
    miosa sandbox prompt <id> --provider custom --runtime-command 'my-agent --json' -- \"do it\" --json";

/// Agents that are known by name.
const RUNNERS: [&str; 7] = [
    "claude",
    "claude-code",
    "codex",
    "hermes",
    "osa",
    "pi",
    "custom",
];

/// An instruction for an agent.
#[derive(Args)]
pub struct Prompt {
    /// Agent that works
    #[arg(long, default_value = "claude", value_parser = RUNNERS)]
    provider: String,
    #[command(flatten)]
    work: Work,
}

/// An instruction for a runner.
#[derive(Args)]
pub struct RunAgent {
    /// Agent that works
    #[arg(long, default_value = "claude", value_parser = RUNNERS)]
    runner: String,
    /// Profile of the agent
    #[arg(long, value_name = "ID")]
    agent_profile: Option<String>,
    /// Without the default profile
    #[arg(long)]
    skip_agent_profile: bool,
    /// Workspace in your own system
    #[arg(long, value_name = "ID")]
    external_workspace: Option<String>,
    /// User in your own system
    #[arg(long, value_name = "ID")]
    external_user: Option<String>,
    /// Project in your own system
    #[arg(long, value_name = "ID")]
    external_project: Option<String>,
    #[command(flatten)]
    work: Work,
}

/// What both have in common.
#[derive(Args)]
struct Work {
    /// Id of the sandbox
    id: String,
    /// Instruction; may follow `--`
    #[arg(required = true)]
    instruction: Vec<String>,
    /// Program of a custom agent; the instruction is its last argument
    #[arg(long, value_name = "COMMAND")]
    runtime_command: Option<String>,
    /// Model to ask for
    #[arg(long)]
    model: Option<String>,
    /// Connector the work is about; must be attached
    #[arg(long, value_name = "UID")]
    connector: Option<String>,
    /// Check connectors and agent before it starts
    #[arg(long)]
    preflight: bool,
    /// Folder to work in
    #[arg(long, value_name = "PATH")]
    cwd: Option<String>,
    /// Stop the agent after so long
    #[arg(long, value_parser = units::seconds, value_name = "DURATION")]
    timeout: Option<i64>,
    /// Variable NAME=value; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// File with variables, one NAME=value a line
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
}

/// Runs an agent (`POST /agent-runs`).
pub async fn prompt(args: Prompt, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let work = args.work;
    preflight(&work, &args.provider, client, printer).await?;
    let mut body = body(&work, printer)?;
    body.insert("prompt".to_owned(), instruction(&work));
    body.insert("provider".to_owned(), args.provider.into());
    body.insert("runtime_id".to_owned(), work.id.clone().into());
    insert(
        &mut body,
        "runtime_command",
        work.runtime_command.as_deref(),
    );
    let answer = client.create_agent_run(&Value::Object(body)).await?;
    finish(answer, work.no_wait, client, printer).await
}

/// Runs an agent (`POST /runs`).
pub async fn run_agent(args: RunAgent, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let work = args.work;
    preflight(&work, &args.runner, client, printer).await?;
    let mut body = body(&work, printer)?;
    body.insert("instruction".to_owned(), instruction(&work));
    body.insert("runner".to_owned(), args.runner.into());
    insert(&mut body, "command", work.runtime_command.as_deref());
    insert(
        &mut body,
        "agent_runtime_profile_id",
        args.agent_profile.as_deref(),
    );
    insert(
        &mut body,
        "external_workspace_id",
        args.external_workspace.as_deref(),
    );
    insert(&mut body, "external_user_id", args.external_user.as_deref());
    insert(
        &mut body,
        "external_project_id",
        args.external_project.as_deref(),
    );
    if args.skip_agent_profile {
        body.insert("skip_agent_runtime_profile".to_owned(), true.into());
    }
    let answer = client.create_run(&Value::Object(body)).await?;
    finish(answer, work.no_wait, client, printer).await
}

/// Checks connector and agent, when either was asked for.
async fn preflight(work: &Work, provider: &str, client: &Client, printer: &Printer) -> Result<()> {
    if provider == "custom" && work.runtime_command.is_none() {
        return Err(CliError::usage("a custom agent needs --runtime-command"));
    }
    if !work.preflight && work.connector.is_none() {
        return Ok(());
    }
    let _progress = printer.progress("checking connector and agent…");
    let request = PreflightRequest {
        provider: Some(provider.to_owned()),
        connector: work.connector.clone(),
        model: work.model.clone(),
        cwd: work.cwd.clone(),
    };
    client.preflight(&work.id, &request).await?;
    Ok(())
}

fn instruction(work: &Work) -> Value {
    work.instruction.join(" ").into()
}

fn insert(body: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

fn body(work: &Work, printer: &Printer) -> Result<Map<String, Value>> {
    let mut env = match &work.env_file {
        Some(path) => {
            let text = fs_err::read_to_string(path).map_err(|error| CliError::file(&error))?;
            shell::variable_lines(&text)?
        }
        None => std::collections::BTreeMap::new(),
    };
    env.extend(shell::variables(&work.env)?);
    let mut body = Map::new();
    body.insert("target_kind".to_owned(), "sandbox".into());
    body.insert("target_id".to_owned(), work.id.clone().into());
    insert(&mut body, "model", work.model.as_deref());
    insert(&mut body, "cwd", work.cwd.as_deref());
    insert(&mut body, "connector", work.connector.as_deref());
    if let Some(timeout) = work.timeout {
        body.insert("timeout".to_owned(), timeout.into());
    }
    if !env.is_empty() {
        body.insert("env".to_owned(), json!(env));
    }
    // A person follows the events; a program gets one answer at the end.
    let wait = printer.json && !work.no_wait;
    body.insert("wait".to_owned(), wait.into());
    Ok(body)
}

/// Shows the run: live for people, at its end for programs.
async fn finish(
    answer: Answer<Run>,
    no_wait: bool,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let run = answer.data()?;
    if no_wait || run.status.is_final() {
        printer.show(&answer, runs::view)?;
        return Ok(runs::exit_code(run.status));
    }
    if !printer.json {
        printer.note(&format!("run {} (Ctrl-C leaves it running)", run.id));
        let mut stream = client.follow_run(&run.id, None).await?;
        tokio::select! {
            shown = show_live(&mut stream, printer) => shown?,
            _ = tokio::signal::ctrl_c() => {
                printer.note(&format!("the run goes on; stop it with `miosa runs cancel {}`", run.id));
                return Ok(ExitCode::from(130));
            }
        }
    }
    runs::until_end(&run.id, client, printer).await
}

async fn show_live(stream: &mut EventStream, printer: &Printer) -> Result<()> {
    while let Some(event) = stream.next().await? {
        if let Ok(event) = event.json::<RunEvent>() {
            printer.note(&runs::line(&event));
        }
    }
    Ok(())
}
