//! Plain variables of a sandbox. Credentials belong into connectors instead.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::env::{EnvPair, EnvPut};
use miosa_client::Client;

use super::Id;
use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};
use crate::cli::shell;

/// Verbs of variables.
#[derive(Subcommand)]
pub enum Env {
    /// List variables
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  miosa sandbox env list <id>"
    )]
    List(Id),
    /// Set variables; others stay
    #[command(after_help = "Examples:\n  miosa sandbox env set <id> NODE_ENV=production LOG=debug")]
    Set(Set),
    /// Remove a variable
    #[command(
        visible_alias = "unset",
        after_help = "Examples:\n  miosa sandbox env delete <id> LOG"
    )]
    Delete(Delete),
    /// Bring the variables into the sandbox again
    #[command(after_help = "Examples:\n  miosa sandbox env sync <id>")]
    Sync(Id),
}

/// Variables to set.
#[derive(Args)]
pub struct Set {
    /// Id of the sandbox
    id: String,
    /// NAME=value
    #[arg(required = true, value_name = "NAME=VALUE")]
    pairs: Vec<String>,
}

/// A variable to remove.
#[derive(Args)]
pub struct Delete {
    /// Id of the sandbox
    id: String,
    /// Its name
    name: String,
}

impl Env {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::List(args) => list(args, client, printer).await,
            Self::Set(args) => set(args, client, printer).await,
            Self::Delete(args) => delete(args, client, printer).await,
            Self::Sync(args) => sync(args, client, printer).await,
        }
    }
}

async fn list(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.env(&args.id).await?;
    printer.show(&answer, |variables| View::Table {
        headers: &["NAME", "VALUE", "UPDATED"],
        rows: variables
            .into_iter()
            .map(|variable| vec![variable.name, variable.preview, variable.updated_at])
            .collect(),
        empty: "no variables",
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn set(args: Set, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let vars = shell::variables(&args.pairs)?
        .into_iter()
        .map(|(key, value)| EnvPair { key, value })
        .collect::<Vec<_>>();
    let count = vars.len();
    let answer = client.put_env(&args.id, &EnvPut { vars }).await?;
    printer.show(&answer, |_| View::Line(format!("set {count}")))?;
    Ok(ExitCode::SUCCESS)
}

async fn delete(args: Delete, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.delete_env(&args.id, &args.name).await?;
    printer.deleted(&answer, &format!("removed {}", args.name));
    Ok(ExitCode::SUCCESS)
}

async fn sync(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.sync_env(&args.id).await?;
    printer.show(&answer, |_| View::Line("synced".to_owned()))?;
    Ok(ExitCode::SUCCESS)
}
