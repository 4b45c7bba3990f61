//! Connectors attached to a sandbox.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::connector::{AttachConnector, Binding};
use miosa_api::preflight::{Preflight, PreflightRequest, PreflightStep};
use miosa_client::Client;

use super::Id;
use super::narrow::Narrow;
use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Verbs of attached connectors.
#[derive(Subcommand)]
pub enum Connectors {
    /// List what is attached
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  miosa sandbox connectors list <id> --json"
    )]
    List(Id),
    /// Attach a connector: a variable in the sandbox holds a placeholder for its credential
    #[command(after_help = "Examples:\n  \
        miosa sandbox connectors attach <id> refero/design-research --env REFERO_MCP_TOKEN\n  \
        miosa sandbox connectors attach <id> github/bot --env GITHUB_TOKEN --allow-tool 'get_*' --deny-tool get_secret\n  \
        miosa sandbox connectors attach <id> github/bot --env GITHUB_TOKEN --allow-tool '*' --argument 'create_issue:/repo=demo'")]
    Attach(Attach),
    /// Take a connector off; its placeholder is worth nothing from then on
    #[command(
        visible_alias = "rm",
        after_help = "Examples:\n  miosa sandbox connectors detach <id> refero/design-research"
    )]
    Detach(Detach),
    /// Bring placeholders and policy to the sandbox again
    #[command(after_help = "Examples:\n  miosa sandbox connectors sync <id>")]
    Sync(Id),
    /// Check that attached connectors work, and only where they should
    #[command(
        after_help = "Examples:\n  miosa sandbox connectors preflight <id> --connector refero/design-research"
    )]
    Preflight(PreflightArgs),
}

/// What to attach where.
#[derive(Args)]
pub struct Attach {
    /// Id of the sandbox
    id: String,
    /// Uid or id of the connector
    connector: String,
    /// Variable that holds the placeholder
    #[arg(long, value_name = "NAME")]
    env: String,
    /// `brokered-env` keeps the credential outside; `plain-env` puts it in, where the server allows it
    #[arg(long, default_value = "brokered-env", value_parser = ["brokered-env", "plain-env", "brokered_env", "plain_env"])]
    mode: String,
    /// Installation
    #[arg(long, value_name = "ID")]
    installation_id: Option<String>,
    #[command(flatten)]
    mcp: Narrow,
}

/// What to take off.
#[derive(Args)]
pub struct Detach {
    /// Id of the sandbox
    id: String,
    /// Id of the binding, or uid of the connector
    binding: String,
}

/// What to check.
#[derive(Args)]
pub struct PreflightArgs {
    /// Id of the sandbox
    id: String,
    /// Only this connector
    #[arg(long, value_name = "UID")]
    connector: Option<String>,
    /// Agent that will run
    #[arg(long)]
    provider: Option<String>,
    /// Model it will ask for
    #[arg(long)]
    model: Option<String>,
    /// Folder it will work in
    #[arg(long, value_name = "PATH")]
    cwd: Option<String>,
}

impl Connectors {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::List(args) => list(args, client, printer).await,
            Self::Attach(args) => attach(args, client, printer).await,
            Self::Detach(args) => detach(args, client, printer).await,
            Self::Sync(args) => sync(args, client, printer).await,
            Self::Preflight(args) => preflight(args, client, printer).await,
        }
    }
}

async fn list(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.bindings(&args.id).await?;
    printer.show(&answer, |bindings| View::Table {
        headers: &[
            "CONNECTOR",
            "ENV",
            "MODE",
            "PLACEHOLDER",
            "BINDING",
            "ENDPOINTS",
        ],
        rows: bindings.into_iter().map(row).collect(),
        empty: "no connectors attached",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(binding: Binding) -> Vec<String> {
    vec![
        binding.connector,
        binding.env_name,
        binding.mode,
        binding.placeholder_preview,
        binding.id,
        binding.endpoints.join(", "),
    ]
}

async fn attach(args: Attach, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let body = AttachConnector {
        connector: args.connector,
        env_name: Some(args.env),
        mode: Some(args.mode),
        installation_id: args.installation_id,
        mcp: args.mcp.policy()?,
    };
    let answer = client.attach_connector(&args.id, &body).await?;
    printer.show(&answer, |binding| {
        View::Fields(vec![
            ("binding", binding.id),
            ("connector", binding.connector),
            ("env", binding.env_name),
            ("mode", binding.mode),
            ("placeholder", binding.placeholder_preview),
            ("endpoints", binding.endpoints.join(", ")),
        ])
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn detach(args: Detach, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.detach_connector(&args.id, &args.binding).await?;
    printer.deleted(&answer, &format!("detached {}", args.binding));
    Ok(ExitCode::SUCCESS)
}

async fn sync(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.sync_connectors(&args.id).await?;
    printer.show(&answer, |_| View::Line("synced".to_owned()))?;
    Ok(ExitCode::SUCCESS)
}

async fn preflight(args: PreflightArgs, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let body = PreflightRequest {
        provider: args.provider,
        connector: args.connector,
        model: args.model,
        cwd: args.cwd,
    };
    let progress = printer.progress("probing…");
    let answer = client.preflight(&args.id, &body).await?;
    drop(progress);
    printer.show(&answer, steps)?;
    Ok(ExitCode::SUCCESS)
}

fn steps(preflight: Preflight) -> View {
    let row = |step: PreflightStep| {
        let mark = if step.ok { "ok" } else { "FAIL" };
        vec![mark.to_owned(), step.name, step.detail]
    };
    View::Table {
        headers: &["", "STEP", "SEEN"],
        rows: preflight.steps.into_iter().map(row).collect(),
        empty: "ok",
    }
}
