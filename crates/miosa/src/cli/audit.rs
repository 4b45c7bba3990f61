//! `miosa audit`: every request of a sandbox and what became of it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::audit::AuditEvent;
use miosa_client::{AuditQuery, Client};

use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Verbs of the audit.
#[derive(Subcommand)]
pub enum Audit {
    /// List what was sent and what was refused
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  \
        miosa audit list --sandbox <id> --action reject\n  \
        miosa audit list --host api.anthropic.com --since 1h --json"
    )]
    List(List),
}

/// Which events.
#[derive(Args)]
pub struct List {
    /// Only of this sandbox
    #[arg(long, value_name = "ID")]
    sandbox: Option<String>,
    /// Only to this host
    #[arg(long)]
    host: Option<String>,
    /// Only with this action: `allow`, `reject`, `error` or `client_cancel`
    #[arg(long)]
    action: Option<String>,
    /// Only after this moment (RFC 3339), or not older than this (`7d`)
    #[arg(long)]
    since: Option<String>,
    /// How many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

impl Audit {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        let Self::List(args) = self;
        list(args, client, printer).await
    }
}

async fn list(args: List, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let query = AuditQuery {
        sandbox: args.sandbox,
        host: args.host,
        action: args.action,
        since: args.since,
        limit: args.limit,
    };
    let answer = client.audit(&query).await?;
    printer.show(&answer, |events| View::Table {
        headers: &[
            "TIME",
            "SANDBOX",
            "METHOD",
            "HOST",
            "PATH",
            "DECISION",
            "CONNECTOR",
            "CODE",
        ],
        rows: events.into_iter().map(row).collect(),
        empty: "no events",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(event: AuditEvent) -> Vec<String> {
    let dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let host = match event.port {
        443 => event.host,
        port => format!("{}:{port}", event.host),
    };
    vec![
        event.inserted_at,
        event.resource_id,
        event.method.unwrap_or(event.transport),
        host,
        dash(event.path),
        event.effect,
        dash(event.connector),
        dash(event.code),
    ]
}
