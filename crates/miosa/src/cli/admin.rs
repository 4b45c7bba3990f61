//! `miosa admin`: what the server's operator does.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::budget::{Budget, BudgetLimits};
use miosa_client::Client;

use crate::cli::connectors;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::secret;

/// Things an operator manages.
#[derive(Subcommand)]
pub enum Admin {
    /// Supply tokens of managed connectors, and say how often they may be used
    #[command(subcommand)]
    Connectors(AdminConnectors),
}

/// Verbs of managed connectors.
#[derive(Subcommand)]
pub enum AdminConnectors {
    /// Supply or replace the token of a managed connector; without limits, those set before stay
    #[command(after_help = "Examples:\n  \
        printf '%s' \"$TOKEN\" | miosa admin connectors set refero/design-research --stdin\n  \
        printf '%s' \"$TOKEN\" | miosa admin connectors set refero/design-research --stdin --sandbox-per-minute 60 --tenant-per-day 5000")]
    Set(Set),
    /// Say how often each tenant and each sandbox may use a managed connector; replaces all limits
    #[command(after_help = "Examples:\n  \
        miosa admin connectors budget refero/design-research --sandbox-per-minute 60 --tenant-per-day 5000\n  \
        miosa admin connectors budget refero/design-research --unlimited")]
    Budget(SetBudget),
    /// Take the token away, and the connector off every sandbox
    #[command(after_help = "Examples:\n  miosa admin connectors revoke refero/design-research")]
    Revoke(Revoke),
}

/// Which connector, and where its token is.
#[derive(Args)]
pub struct Set {
    /// Uid of the managed connector
    uid: String,
    /// Read the token from standard input
    #[arg(long, required = true)]
    stdin: bool,
    #[command(flatten)]
    limits: Limits,
}

/// Which connector, and its limits.
#[derive(Args)]
pub struct SetBudget {
    /// Uid of the managed connector
    uid: String,
    /// As often as anything
    #[arg(long, conflicts_with_all = ["tenant_per_minute", "tenant_per_day", "sandbox_per_minute", "sandbox_per_day"])]
    unlimited: bool,
    #[command(flatten)]
    limits: Limits,
}

/// Which connector.
#[derive(Args)]
pub struct Revoke {
    /// Uid of the managed connector
    uid: String,
}

/// Requests with the credential.
#[derive(Args)]
struct Limits {
    /// Requests of one tenant in a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tenant_per_minute: Option<u32>,
    /// Requests of one tenant in a day (UTC)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    tenant_per_day: Option<u32>,
    /// Requests of one sandbox in a minute
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sandbox_per_minute: Option<u32>,
    /// Requests of one sandbox in a day (UTC)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    sandbox_per_day: Option<u32>,
}

impl Limits {
    const fn budget(&self) -> Budget {
        Budget {
            per_tenant: BudgetLimits {
                per_minute: self.tenant_per_minute,
                per_day: self.tenant_per_day,
            },
            per_sandbox: BudgetLimits {
                per_minute: self.sandbox_per_minute,
                per_day: self.sandbox_per_day,
            },
        }
    }
}

impl Admin {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        let Self::Connectors(verb) = self;
        match verb {
            AdminConnectors::Set(args) => set(&args, client, printer).await,
            AdminConnectors::Budget(args) => budget(&args, client, printer).await,
            AdminConnectors::Revoke(args) => revoke(&args, client, printer).await,
        }
    }
}

async fn set(args: &Set, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let token = secret::from_stdin()?;
    let budget = args.limits.budget();
    let budget = (!budget.is_unlimited()).then_some(&budget);
    let answer = client
        .set_managed_connector(&args.uid, &token, budget)
        .await?;
    printer.show(&answer, |_| {
        View::Line(format!("{} is configured", args.uid))
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn budget(args: &SetBudget, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let budget = args.limits.budget();
    if budget.is_unlimited() && !args.unlimited {
        return Err(CliError::usage("no limit was given")
            .hint("give one or more, such as --sandbox-per-minute 60, or --unlimited"));
    }
    let answer = client.set_connector_budget(&args.uid, &budget).await?;
    printer.show(&answer, connectors::fields)?;
    Ok(ExitCode::SUCCESS)
}

async fn revoke(args: &Revoke, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.revoke_managed_connector(&args.uid).await?;
    printer.show(&answer, |_| {
        View::Line(format!("{} is revoked: no sandbox can use it", args.uid))
    })?;
    Ok(ExitCode::SUCCESS)
}
