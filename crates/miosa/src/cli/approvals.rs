//! `miosa approvals`: what sandboxes ask a person for.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::approval::{Approval, ApprovalCall, ApprovalStatus};
use miosa_client::Client;

use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Verbs of approvals.
#[derive(Subcommand)]
pub enum Approvals {
    /// List calls that wait for a person, and those answered within the hour
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  miosa approvals list --status pending"
    )]
    List(List),
    /// Let a call pass, once
    #[command(after_help = "Examples:\n  miosa approvals approve <id>")]
    Approve(Answer),
    /// Refuse a call; the agent reads the reason
    #[command(
        after_help = "Examples:\n  miosa approvals deny <id> --reason 'not before the release'"
    )]
    Deny(Answer),
}

/// Which of them.
#[derive(Args)]
pub struct List {
    /// Only with this status
    #[arg(long, value_parser = ["pending", "approved", "denied"])]
    status: Option<String>,
    /// Only of this sandbox
    #[arg(long, value_name = "ID")]
    sandbox: Option<String>,
}

/// Which call, and why.
#[derive(Args)]
pub struct Answer {
    /// Id of the approval
    id: String,
    /// Why, for the agent
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Approvals {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::List(args) => list(args, client, printer).await,
            Self::Approve(args) => answer(args, true, client, printer).await,
            Self::Deny(args) => answer(args, false, client, printer).await,
        }
    }
}

async fn list(args: List, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client
        .approvals(args.status.as_deref(), args.sandbox.as_deref())
        .await?;
    printer.show(&answer, |approvals| View::Table {
        headers: &["ID", "STATUS", "SANDBOX", "CONNECTOR", "CALL", "ASKED"],
        rows: approvals.into_iter().map(row).collect(),
        empty: "nothing waits for a person",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(approval: Approval) -> Vec<String> {
    let calls: Vec<String> = approval.calls.iter().map(call).collect();
    vec![
        approval.id,
        word(approval.status, approval.waiting).to_owned(),
        approval.sandbox_id,
        approval.connector,
        calls.join("; "),
        approval.asked_at,
    ]
}

const fn word(status: ApprovalStatus, waiting: bool) -> &'static str {
    match (status, waiting) {
        (ApprovalStatus::Pending, true) => "waits",
        (ApprovalStatus::Pending, false) => "pending",
        (ApprovalStatus::Approved, _) => "approved",
        (ApprovalStatus::Denied, _) => "denied",
    }
}

fn call(call: &ApprovalCall) -> String {
    let name = call.name.as_deref().unwrap_or_default();
    format!("{} {name} {}", call.method, call.arguments)
}

async fn answer(
    args: Answer,
    approve: bool,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let answer = client
        .answer_approval(&args.id, approve, args.reason)
        .await?;
    printer.show(&answer, |approval| {
        let word = word(approval.status, approval.waiting);
        View::Line(format!("{} is {word}", approval.id))
    })?;
    Ok(ExitCode::SUCCESS)
}
