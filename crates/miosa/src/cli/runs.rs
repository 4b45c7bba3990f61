//! `miosa runs`: agents at work, and what they did.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::run::{Run, RunEvent, RunStatus};
use miosa_client::{Client, RunQuery};

use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Verbs of runs.
#[derive(Subcommand)]
pub enum Runs {
    /// List runs
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  miosa runs list --sandbox <id>"
    )]
    List(List),
    /// Show one run
    #[command(
        visible_alias = "get",
        after_help = "Examples:\n  miosa runs show <run> --json"
    )]
    Show(Id),
    /// Show what a run did, step by step
    #[command(
        visible_alias = "activity",
        after_help = "Examples:\n  miosa runs events <run> --follow"
    )]
    Events(Events),
    /// Wait for a run's end
    #[command(after_help = "Examples:\n  miosa runs wait <run> --json")]
    Wait(Id),
    /// Stop a run
    #[command(after_help = "Examples:\n  miosa runs cancel <run>")]
    Cancel(Id),
    /// List files a run left
    #[command(after_help = "Examples:\n  miosa runs files <run> --json")]
    Files(Id),
    /// Show what a run gave back
    #[command(after_help = "Examples:\n  miosa runs outputs <run> --json")]
    Outputs(Id),
}

/// Which runs.
#[derive(Args)]
pub struct List {
    /// Only in this sandbox
    #[arg(long, value_name = "ID")]
    sandbox: Option<String>,
    /// Only with this status
    #[arg(long)]
    status: Option<String>,
    /// How many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// Which run.
#[derive(Args)]
pub struct Id {
    /// Id of the run
    id: String,
}

/// Which events.
#[derive(Args)]
pub struct Events {
    /// Id of the run
    id: String,
    /// Go on until the run ends
    #[arg(long, visible_alias = "stream")]
    follow: bool,
}

impl Runs {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::List(args) => list(args, client, printer).await,
            Self::Show(args) => show(args, client, printer).await,
            Self::Events(args) => events(args, client, printer).await,
            Self::Wait(args) => wait(args, client, printer).await,
            Self::Cancel(args) => cancel(args, client, printer).await,
            Self::Files(args) => files(args, client, printer).await,
            Self::Outputs(args) => outputs(args, client, printer).await,
        }
    }
}

async fn list(args: List, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let query = RunQuery {
        sandbox_id: args.sandbox,
        status: args.status,
        limit: args.limit,
    };
    let answer = client.runs(&query).await?;
    printer.show(&answer, |runs| View::Table {
        headers: &[
            "ID",
            "RUNNER",
            "STATUS",
            "SANDBOX",
            "CREATED",
            "INSTRUCTION",
        ],
        rows: runs.into_iter().map(row).collect(),
        empty: "no runs",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(run: Run) -> Vec<String> {
    let instruction: String = run.instruction.chars().take(60).collect();
    vec![
        run.id,
        run.runner,
        run.status.as_str().to_owned(),
        run.target_id,
        run.created_at,
        instruction,
    ]
}

async fn show(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.run(&args.id).await?;
    printer.show(&answer, view)?;
    Ok(ExitCode::SUCCESS)
}

async fn events(args: Events, client: &Client, printer: &Printer) -> Result<ExitCode> {
    if args.follow {
        return follow(&args.id, client, printer).await;
    }
    let answer = client.run_events(&args.id).await?;
    printer.show(&answer, |events| {
        View::Text(events.iter().map(line).collect::<Vec<_>>().join("\n"))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Shows events until the run ends: a line each for people, one JSON object a line for programs.
pub async fn follow(id: &str, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let mut stream = client.follow_run(id, None).await?;
    while let Some(event) = stream.next().await? {
        if printer.json {
            printer.line(&event.data);
        } else if let Ok(event) = event.json::<RunEvent>() {
            printer.line(&line(&event));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One event as a line.
pub fn line(event: &RunEvent) -> String {
    let message: String = event
        .message
        .chars()
        .map(|letter| {
            if letter.is_control() && letter != '\t' {
                ' '
            } else {
                letter
            }
        })
        .collect();
    format!("{:<18} {message}", event.kind)
}

async fn wait(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let run = until_end(&args.id, client, printer).await?;
    Ok(run)
}

/// Follows a run to its end without showing events, then shows it.
pub async fn until_end(id: &str, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let mut answer = client.run(id).await?;
    let mut after = None;
    while !answer.data()?.status.is_final() {
        let mut stream = client.follow_run(id, after).await?;
        while let Some(event) = stream.next().await? {
            after = event.id.and_then(|id| id.parse().ok()).or(after);
        }
        answer = client.run(id).await?;
        if !answer.data()?.status.is_final() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }
    printer.show(&answer, view)?;
    Ok(exit_code(answer.data()?.status))
}

async fn cancel(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.cancel_run(&args.id).await?;
    printer.show(&answer, view)?;
    Ok(ExitCode::SUCCESS)
}

async fn files(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.run_files(&args.id).await?;
    printer.show(&answer, |files| View::of_json(&files))?;
    Ok(ExitCode::SUCCESS)
}

async fn outputs(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.run_outputs(&args.id).await?;
    printer.show(&answer, |outputs| View::of_json(&outputs))?;
    Ok(ExitCode::SUCCESS)
}

/// A run that failed or was canceled fails the command.
pub fn exit_code(status: RunStatus) -> ExitCode {
    match status {
        RunStatus::Failed | RunStatus::Canceled => ExitCode::from(1),
        RunStatus::Queued | RunStatus::Running | RunStatus::Succeeded => ExitCode::SUCCESS,
    }
}

/// A run for people.
pub fn view(run: Run) -> View {
    let mut text = vec![
        format!("id        {}", run.id),
        format!("sandbox   {}", run.target_id),
        format!("runner    {}", run.runner),
        format!("status    {}", run.status.as_str()),
    ];
    if let Some(code) = run.exit_code {
        text.push(format!("exit code {code}"));
    }
    if let Some(error) = run.error {
        text.push(format!("error     {error}"));
    }
    for (title, body) in [("output", &run.output), ("stderr", &run.stderr)] {
        if !body.trim().is_empty() {
            text.push(format!("{title}:\n{}", body.trim_end()));
        }
    }
    View::Text(text.join("\n"))
}
