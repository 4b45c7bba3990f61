//! `miosa audit`: every request of a sandbox and what became of it.

mod export;
mod tail;

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::audit::AuditEvent;
use miosa_api::audit_chain::{Head, Report, Verifier};
use miosa_client::{AuditQuery, Client};

use crate::cli::error::{CliError, Result};
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
    /// Tell whether the audit is as it was written: nothing changed, removed, moved or cut off
    #[command(after_help = "Examples:\n  \
        miosa audit verify\n  \
        miosa audit verify --file egress.jsonl.1 --file egress.jsonl")]
    Verify(Verify),
    /// Show the newest events, oldest first, and with --follow those that come
    #[command(after_help = "Examples:\n  \
        miosa audit tail --sandbox <id> --follow\n  \
        miosa audit tail --action reject -n 50")]
    Tail(tail::Tail),
    /// Write all events out, as CSV or JSON
    #[command(after_help = "Examples:\n  \
        miosa audit export --sandbox <id> --since 24h --format csv --output audit.csv\n  \
        miosa audit export --format jsonl | jq .host")]
    Export(export::Export),
}

/// Which chain.
#[derive(Args)]
pub struct Verify {
    /// Files, the oldest first; without any, the server looks at its own
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// The head that was noted earlier, `number hash` [default: what FILE.head has]
    #[arg(long, requires = "file", value_parser = head)]
    head: Option<Head>,
    /// The first file need not begin with the first event of all
    #[arg(long, requires = "file")]
    rotated: bool,
}

fn head(text: &str) -> std::result::Result<Head, String> {
    text.parse()
        .map_err(|()| "a head is a number and a hash, as `miosa audit verify` shows it".to_owned())
}

/// What events are narrowed by.
#[derive(Args)]
pub struct Narrow {
    /// Only of this sandbox
    #[arg(long, value_name = "ID")]
    sandbox: Option<String>,
    /// Only to this host
    #[arg(long)]
    host: Option<String>,
    /// Only with this action: `allow`, `reject`, `error` or `client_cancel`
    #[arg(long)]
    action: Option<String>,
}

impl Narrow {
    fn query(self) -> AuditQuery {
        AuditQuery {
            sandbox: self.sandbox,
            host: self.host,
            action: self.action,
            ..AuditQuery::default()
        }
    }
}

/// Which events.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    narrow: Narrow,
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
        match self {
            Self::List(args) => list(args, client, printer).await,
            Self::Tail(args) => tail::tail(args, client, printer).await,
            Self::Export(args) => export::export(args, client, printer).await,
            Self::Verify(args) if args.file.is_empty() => {
                let report = client.audit_verify().await?.data()?;
                Ok(show(&report, printer))
            }
            Self::Verify(args) => {
                let report = args.look().map_err(|error| CliError::file(&error))?;
                Ok(show(&report, printer))
            }
        }
    }
}

impl Verify {
    /// Looks at the files as one chain.
    fn look(&self) -> std::io::Result<Report> {
        let mut all: Box<dyn Read> = Box::new(std::io::empty());
        for path in &self.file {
            all = Box::new(all.chain(fs_err::File::open(path)?));
        }
        let before = (!self.rotated).then_some(Head::START);
        let head = match (self.head, self.file.last()) {
            (None, Some(last)) => kept_head(last)?,
            (given, _) => given,
        };
        Verifier::new(before, head).verify(BufReader::new(all))
    }
}

/// What the broker keeps beside a file.
fn kept_head(file: &Path) -> std::io::Result<Option<Head>> {
    let mut name = file.as_os_str().to_owned();
    name.push(".head");
    match fs_err::read_to_string(PathBuf::from(name)) {
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => match text.parse() {
            Ok(head) => Ok(Some(head)),
            Err(()) => Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the kept head is not readable: give the one that you noted with --head",
            )),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn show(report: &Report, printer: &Printer) -> ExitCode {
    let found = match &report.fault {
        None => "intact".to_owned(),
        Some(fault) => format!("NOT INTACT: {fault}"),
    };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    printer.value(
        &serde_json::to_value(report).unwrap_or_default(),
        View::Table {
            headers: &["", ""],
            rows: vec![
                row("audit", found),
                row("lines", report.lines.to_string()),
                row("first event", report.first.to_string()),
                row("head", report.head.clone()),
            ],
            empty: "",
        },
    );
    if report.intact {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

async fn list(args: List, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let query = AuditQuery {
        since: args.since,
        limit: args.limit,
        ..args.narrow.query()
    };
    let answer = client.audit(&query).await?;
    printer.show(&answer, |events| View::Table {
        headers: &[
            "TIME",
            "SANDBOX",
            "METHOD",
            "HOST",
            "PATH",
            "MCP",
            "DECISION",
            "CONNECTOR",
            "RULE",
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
        dash(mcp(event.mcp_method, event.mcp_name)),
        event.effect,
        dash(event.connector),
        dash(event.rule_id),
        dash(event.code),
    ]
}

/// What was asked of an MCP server.
fn mcp(method: Option<String>, name: Option<String>) -> Option<String> {
    let method = method?;
    Some(name.map_or_else(|| method.clone(), |name| format!("{method} {name}")))
}
