//! Snapshots of a sandbox, and forks.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::snapshot::{CreateSnapshot, ForkSandbox, Snapshot as Kept};
use miosa_client::Client;

use super::{Id, list};
use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};
use crate::cli::{shell, units};

/// Shown in the help.
pub const EXAMPLES: &str = "Examples:\n  miosa sandbox fork <id> --name experiment\n  \
    miosa sandbox fork <id> --snapshot <snapshot>";

/// Verbs of snapshots.
#[derive(Subcommand)]
pub enum Snapshot {
    /// Keep the files of a sandbox as they are now
    #[command(
        after_help = "Examples:\n  miosa sandbox snapshot create <id> --comment \"before the migration\" --expiration 14d"
    )]
    Create(Create),
    /// List the snapshots of a sandbox
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  miosa sandbox snapshot list <id>"
    )]
    List(Id),
    /// Show a snapshot
    #[command(after_help = "Examples:\n  miosa sandbox snapshot get <id> <snapshot> --json")]
    Get(Of),
    /// Give a sandbox the files of a snapshot, and start it anew
    #[command(after_help = "Examples:\n  miosa sandbox snapshot restore <id> <snapshot>")]
    Restore(Of),
    /// Delete a snapshot; sandboxes made from it go on
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  miosa sandbox snapshot delete <id> <snapshot>"
    )]
    Delete(Of),
}

/// A new snapshot.
#[derive(Args)]
pub struct Create {
    /// Id of the sandbox
    id: String,
    /// What it is kept for
    #[arg(long, visible_alias = "name")]
    comment: Option<String>,
    /// Delete it by itself after so long, such as 14d
    #[arg(long, value_parser = units::seconds, value_name = "DURATION")]
    expiration: Option<i64>,
}

/// A snapshot of a sandbox.
#[derive(Args)]
pub struct Of {
    /// Id of the sandbox
    id: String,
    /// Id of the snapshot
    snapshot: String,
}

/// A sandbox to make of another one.
#[derive(Args)]
pub struct Fork {
    /// Id of the sandbox
    id: String,
    /// Name to find the new one by
    #[arg(long)]
    name: Option<String>,
    /// Snapshot to start from, instead of what the sandbox is now
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// Lifetime of the new one, such as 1h
    #[arg(long, value_parser = units::seconds, value_name = "DURATION")]
    timeout: Option<i64>,
    /// Plain variable NAME=value beside those of the sandbox; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
}

impl Snapshot {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::Create(args) => create(args, client, printer).await,
            Self::List(args) => show_all(args, client, printer).await,
            Self::Get(args) => {
                let answer = client.snapshot(&args.id, &args.snapshot).await?;
                printer.show(&answer, |snapshot| View::Fields(fields(&snapshot)))?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Restore(args) => restore(args, client, printer).await,
            Self::Delete(args) => {
                let answer = client.delete_snapshot(&args.id, &args.snapshot).await?;
                printer.deleted(&answer, &format!("deleted {}", args.snapshot));
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

async fn create(args: Create, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let progress = printer.progress("taking a snapshot…");
    let body = CreateSnapshot {
        comment: args.comment,
        expiration: args.expiration.map(Into::into),
    };
    let answer = client.create_snapshot(&args.id, &body).await?;
    drop(progress);
    printer.show(&answer, |snapshot| View::Fields(fields(&snapshot)))?;
    Ok(ExitCode::SUCCESS)
}

async fn show_all(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.snapshots(&args.id).await?;
    printer.show(&answer, |snapshots| View::Table {
        headers: &["ID", "CREATED", "SIZE", "COMMENT"],
        rows: snapshots.into_iter().map(row).collect(),
        empty: "no snapshots",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(snapshot: Kept) -> Vec<String> {
    vec![
        snapshot.id,
        snapshot.created_at,
        megabytes(snapshot.size_bytes),
        snapshot.comment.unwrap_or_default(),
    ]
}

fn megabytes(bytes: i64) -> String {
    format!("{} MB", (bytes + 999_999) / 1_000_000)
}

fn fields(snapshot: &Kept) -> Vec<(&'static str, String)> {
    let connectors = snapshot.connectors.iter();
    let bound: Vec<String> = connectors
        .map(|bound| format!("{}={}", bound.env_name, bound.connector))
        .collect();
    vec![
        ("id", snapshot.id.clone()),
        ("sandbox", snapshot.sandbox_id.clone()),
        ("created", snapshot.created_at.clone()),
        ("expires", snapshot.expires_at.clone().unwrap_or_default()),
        ("size", megabytes(snapshot.size_bytes)),
        ("held still", format!("{} ms", snapshot.held_ms)),
        ("connectors", bound.join(", ")),
        ("comment", snapshot.comment.clone().unwrap_or_default()),
    ]
}

async fn restore(args: Of, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let progress = printer.progress("going back to the snapshot…");
    let answer = client.restore_snapshot(&args.id, &args.snapshot).await?;
    drop(progress);
    printer.show(&answer, |sandbox| {
        View::Line(format!("{} is {}", sandbox.id, sandbox.state.as_str()))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a sandbox of another one.
pub async fn fork(args: Fork, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let progress = printer.progress("making a fork…");
    let body = ForkSandbox {
        snapshot_id: args.snapshot,
        name: args.name,
        timeout_sec: args.timeout,
        env: shell::variables(&args.env)?,
        ..ForkSandbox::default()
    };
    let answer = client.fork_sandbox(&args.id, &body).await?;
    drop(progress);
    printer.show(&answer, |sandbox| View::Fields(list::fields(&sandbox)))?;
    Ok(ExitCode::SUCCESS)
}
