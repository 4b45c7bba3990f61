//! Detached commands.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use miosa_client::Client;

use super::usage::log_text;
use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Time between two looks at a followed log.
const LOOK_EVERY: Duration = Duration::from_millis(700);

/// Lines of a followed log that are asked for.
const LINES_MAX: u32 = 100_000;

/// Verbs of detached commands.
#[derive(Subcommand)]
pub enum Command {
    /// Show a command
    #[command(after_help = "Examples:\n  miosa sandbox command get <id> <command>")]
    Get(Which),
    /// Show the end of a command's output
    #[command(after_help = "Examples:\n  miosa sandbox command logs <id> <command> --follow")]
    Logs(Logs),
    /// Kill a command
    #[command(after_help = "Examples:\n  miosa sandbox command kill <id> <command>")]
    Kill(Which),
}

/// Which command.
#[derive(Args)]
pub struct Which {
    /// Id of the sandbox
    id: String,
    /// Id of the command
    command: String,
}

/// Which lines.
#[derive(Args)]
pub struct Logs {
    #[command(flatten)]
    which: Which,
    /// Go on until the command ends
    #[arg(long)]
    follow: bool,
    /// How many lines
    #[arg(long, default_value_t = 200, value_name = "N")]
    tail: u32,
}

impl Command {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::Get(args) => get(args, client, printer).await,
            Self::Logs(args) => logs(args, client, printer).await,
            Self::Kill(args) => kill(args, client, printer).await,
        }
    }
}

async fn get(args: Which, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.command(&args.id, &args.command).await?;
    printer.show(&answer, |command| {
        View::Fields(vec![
            ("id", command.id),
            ("name", command.name.unwrap_or_default()),
            ("command", command.command),
            ("status", command.status),
            (
                "exit code",
                command
                    .exit_code
                    .map(|code| code.to_string())
                    .unwrap_or_default(),
            ),
            ("started", command.started_at),
        ])
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn logs(args: Logs, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let Which { id, command } = &args.which;
    if args.follow && !printer.json {
        return follow(id, command, client, printer).await;
    }
    let answer = client.command_logs(id, command, Some(args.tail)).await?;
    printer.show(&answer, |data| View::Text(log_text(&data)))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what is new at each look, until the command has ended.
async fn follow(id: &str, command: &str, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let mut shown = 0;
    loop {
        let running = client.command(id, command).await?.json()["status"] == "running";
        let answer = client.command_logs(id, command, Some(LINES_MAX)).await?;
        let text = log_text(answer.json());
        // The last line may still grow while the command runs.
        let lines: Vec<&str> = text.lines().collect();
        let whole = lines.len().saturating_sub(usize::from(running));
        for line in lines.iter().take(whole).skip(shown) {
            printer.line(line);
        }
        shown = shown.max(whole);
        if !running {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn kill(args: Which, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.kill_command(&args.id, &args.command).await?;
    printer.show(&answer, |_| View::Line(format!("killed {}", args.command)))?;
    Ok(ExitCode::SUCCESS)
}
