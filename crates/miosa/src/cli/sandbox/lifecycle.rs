//! The life of a sandbox.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use miosa_api::sandbox::Sandbox;
use miosa_client::{Answer, Client, ClientError};
use serde_json::{Value, json};

use super::Id;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::units;

/// A sandbox to destroy.
#[derive(Args)]
pub struct Delete {
    /// Id of the sandbox
    id: String,
    /// Accepted for other clients' sake
    #[arg(long, hide = true)]
    force: bool,
}

/// A sandbox and what shall happen to it.
#[derive(Args)]
pub struct Action {
    /// Id of the sandbox
    id: String,
    /// What shall happen
    #[arg(value_enum)]
    action: ActionName,
    /// JSON that replaces the request
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ActionName {
    Pause,
    Resume,
}

/// A sandbox to stop.
#[derive(Args)]
pub struct Stop {
    /// Id of the sandbox
    id: String,
    /// Accepted for other clients' sake
    #[arg(long, hide = true)]
    no_snapshot: bool,
}

/// More time.
#[derive(Args)]
pub struct Extend {
    /// Id of the sandbox
    id: String,
    /// Time from now on, such as 2h
    #[arg(long, value_parser = units::seconds, value_name = "DURATION")]
    timeout: i64,
}

/// Destroys a sandbox.
pub async fn delete(args: Delete, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.delete_sandbox(&args.id).await?;
    printer.deleted(&answer, &format!("destroyed {}", args.id));
    Ok(ExitCode::SUCCESS)
}

/// Pauses or resumes a sandbox.
pub async fn action(args: Action, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let body: Value = match &args.data {
        Some(data) => serde_json::from_str(data)
            .map_err(|error| CliError::usage("--data is not JSON").why(error.to_string()))?,
        None => json!({}),
    };
    act(&args.id, args.action, &body, client, printer).await
}

/// Pauses a sandbox.
pub async fn pause(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    act(&args.id, ActionName::Pause, &json!({}), client, printer).await
}

/// Resumes a sandbox.
pub async fn resume(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    act(&args.id, ActionName::Resume, &json!({}), client, printer).await
}

async fn act(
    id: &str,
    action: ActionName,
    body: &Value,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let outcome = match action {
        ActionName::Pause => client.pause_sandbox(id, body).await,
        ActionName::Resume => client.resume_sandbox(id, body).await,
    };
    show(&with_state(outcome, id, client).await?, printer)
}

/// Stops a sandbox.
pub async fn stop(args: Stop, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let outcome = client.stop_sandbox(&args.id).await;
    show(&with_state(outcome, &args.id, client).await?, printer)
}

/// Gives a sandbox more time.
pub async fn extend(args: Extend, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.extend_sandbox(&args.id, Some(args.timeout)).await?;
    printer.show(&answer, |sandbox| {
        let end = sandbox.expires_at.unwrap_or_else(|| "never".to_owned());
        View::Line(format!("{} expires {end}", sandbox.id))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn show(answer: &Answer<Sandbox>, printer: &Printer) -> Result<ExitCode> {
    printer.show(answer, |sandbox| {
        View::Line(format!("{} is {}", sandbox.id, sandbox.state.as_str()))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Adds to a refusal because of a state which state it is.
pub async fn with_state<T>(
    outcome: std::result::Result<T, ClientError>,
    id: &str,
    client: &Client,
) -> Result<T> {
    let error = match outcome {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let about_state = matches!(
        error.code(),
        Some("SANDBOX_NOT_RUNNING" | "SANDBOX_NOT_PAUSED" | "RESOURCE_STATE")
    );
    let mut error = CliError::from(error);
    if about_state
        && let Ok(answer) = client.sandbox(id).await
        && let Some(state) = answer.json()["state"].as_str()
    {
        if !error.message.contains(state) {
            error.why = Some(format!("it is {state}"));
        }
        error.details.get_or_insert_with(|| json!({}))["state"] = state.into();
    }
    Err(error)
}
