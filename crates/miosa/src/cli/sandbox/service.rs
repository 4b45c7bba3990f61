//! Named long-lived programs of a sandbox.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_client::Client;

use super::usage::{log_text, text};
use super::wait;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};

/// Verbs of services.
#[derive(Subcommand)]
pub enum Service {
    /// Start a service
    #[command(
        visible_alias = "up",
        after_help = "Examples:\n  miosa sandbox service start <id> web --cmd 'npm run dev' --port 3000"
    )]
    Start(Start),
    /// Restart a service
    #[command(after_help = "Examples:\n  miosa sandbox service restart <id> web")]
    Restart(Which),
    /// Show how a service is
    #[command(after_help = "Examples:\n  miosa sandbox service status <id> web")]
    Status(Which),
    /// Show the last lines of a service
    #[command(after_help = "Examples:\n  miosa sandbox service logs <id> web --lines 50")]
    Logs(Logs),
}

/// Which service.
#[derive(Args)]
pub struct Which {
    /// Id of the sandbox
    id: String,
    /// Name of the service: letters, digits, `_`, `.` and `-`
    #[arg(value_parser = name)]
    name: String,
}

/// A new service.
#[derive(Args)]
pub struct Start {
    #[command(flatten)]
    which: Which,
    /// Text for the shell
    #[arg(long, value_name = "TEXT")]
    cmd: String,
    /// Folder to run in
    #[arg(long, default_value = "/workspace", value_name = "PATH")]
    cwd: String,
    /// Port to make reachable from outside
    #[arg(long)]
    port: Option<u16>,
}

/// Which lines.
#[derive(Args)]
pub struct Logs {
    #[command(flatten)]
    which: Which,
    /// How many
    #[arg(long, default_value_t = 100, value_name = "N")]
    lines: u32,
}

fn name(text: &str) -> std::result::Result<String, String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    if text.is_empty() || !text.chars().all(fits) {
        return Err("a name has letters, digits, `_`, `.` and `-` only".to_owned());
    }
    Ok(text.to_owned())
}

impl Service {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::Start(args) => start(args, client, printer).await,
            Self::Restart(args) => restart(args, client, printer).await,
            Self::Status(args) => status(args, client, printer).await,
            Self::Logs(args) => logs(args, client, printer).await,
        }
    }
}

async fn start(args: Start, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let Which { id, name } = &args.which;
    if args.cmd.trim().is_empty() {
        return Err(CliError::usage("--cmd is empty"));
    }
    let answer = client.start_service(id, name, &args.cmd, &args.cwd).await?;
    let mut json = answer.json().clone();
    let mut view = vec![("service", name.clone()), ("status", text(&json["status"]))];
    if let Some(port) = args.port {
        let url = wait::expose(id, port, client).await?;
        json["preview_url"] = url.clone().into();
        view.push(("url", url));
    }
    printer.value(&json, View::Fields(view));
    Ok(ExitCode::SUCCESS)
}

async fn restart(args: Which, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.restart_service(&args.id, &args.name).await?;
    printer.show(&answer, |_| View::Line(format!("restarted {}", args.name)))?;
    Ok(ExitCode::SUCCESS)
}

async fn status(args: Which, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.service(&args.id, &args.name).await?;
    printer.show(&answer, |data| {
        View::Line(format!("{} is {}", args.name, text(&data["status"])))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn logs(args: Logs, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let Which { id, name } = &args.which;
    let answer = client.service_logs(id, name, args.lines).await?;
    printer.show(&answer, |data| View::Text(log_text(&data)))?;
    Ok(ExitCode::SUCCESS)
}
