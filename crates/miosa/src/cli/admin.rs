//! `miosa admin`: what the server's operator does.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_client::Client;

use crate::cli::connectors;
use crate::cli::error::Result;
use crate::cli::printer::Printer;

/// Things an operator manages.
#[derive(Subcommand)]
pub enum Admin {
    /// Supply tokens of managed connectors
    #[command(subcommand)]
    Connectors(AdminConnectors),
}

/// Verbs of managed connectors.
#[derive(Subcommand)]
pub enum AdminConnectors {
    /// Supply or replace the token of a managed connector
    #[command(
        after_help = "Examples:\n  printf '%s' \"$TOKEN\" | miosa admin connectors set refero/design-research --stdin"
    )]
    Set(Set),
}

/// Which connector, and where its token is.
#[derive(Args)]
pub struct Set {
    /// Uid of the managed connector
    uid: String,
    /// Read the token from standard input
    #[arg(long, required = true)]
    stdin: bool,
}

impl Admin {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        let Self::Connectors(AdminConnectors::Set(args)) = self;
        connectors::set_managed(&args.uid, client, printer).await
    }
}
