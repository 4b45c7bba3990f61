//! The network policy of a sandbox.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use miosa_api::sandbox::{NetworkPolicy, PatchSandbox};
use miosa_client::Client;
use serde_json::{Map, Value, json};

use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};

/// What of a sandbox can be set.
#[derive(Subcommand)]
pub enum Config {
    /// Say where a sandbox may go
    #[command(after_help = "Examples:\n  \
        miosa sandbox config network-policy <id> --network-policy deny-all --allowed-domain '*.npmjs.org'\n  \
        miosa sandbox config network-policy <id> --network-policy allow-all")]
    NetworkPolicy(NetworkPolicyArgs),
}

/// Which sandbox, and where it may go.
#[derive(Args)]
pub struct NetworkPolicyArgs {
    /// Id of the sandbox
    id: String,
    #[command(flatten)]
    policy: PolicyFlags,
}

/// Where a sandbox may go.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyFlags {
    /// What happens to hosts without a rule (allow-all when only other rules are given)
    #[arg(long, value_enum, value_name = "MODE")]
    network_policy: Option<Mode>,
    /// Host that is allowed, exact or `*.example.com`; may be repeated
    #[arg(long, value_name = "HOST")]
    allowed_domain: Vec<String>,
    /// Address range that is allowed; may be repeated
    #[arg(long, value_name = "CIDR")]
    allowed_cidr: Vec<String>,
    /// Address range that is refused; may be repeated
    #[arg(long, value_name = "CIDR")]
    denied_cidr: Vec<String>,
}

/// What happens to hosts without a rule.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    AllowAll,
    DenyAll,
}

impl PolicyFlags {
    /// The policy of the flags; `None` when none was given.
    pub fn policy(&self) -> Option<NetworkPolicy> {
        let lists = [&self.allowed_domain, &self.allowed_cidr, &self.denied_cidr];
        if self.network_policy.is_none() && lists.iter().all(|list| list.is_empty()) {
            return None;
        }
        let mode = match self.network_policy {
            Some(Mode::DenyAll) => "deny-all",
            Some(Mode::AllowAll) | None => "allow-all",
        };
        Some(NetworkPolicy {
            mode: mode.to_owned(),
            allowed_domains: self.allowed_domain.clone(),
            allowed_cidrs: self.allowed_cidr.clone(),
            denied_cidrs: self.denied_cidr.clone(),
        })
    }
}

impl Config {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        let Self::NetworkPolicy(args) = self;
        network_policy(args, client, printer).await
    }
}

async fn network_policy(
    args: NetworkPolicyArgs,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let mut policy = args.policy.policy().ok_or_else(|| {
        CliError::usage("no policy is given").hint("give --network-policy allow-all or deny-all")
    })?;
    if args.policy.network_policy.is_none() {
        // Rules alone open nothing that `network lockdown` has closed.
        policy.mode.clear();
    }
    let mut metadata = Map::new();
    metadata.insert("network_policy".to_owned(), json!(policy));
    let patch = PatchSandbox {
        metadata: Some(metadata),
        ..PatchSandbox::default()
    };
    let answer = client.patch_sandbox(&args.id, &patch).await?;
    printer.show(&answer, |sandbox| {
        let policy = sandbox.metadata.get("network_policy").cloned();
        View::of_json(&policy.unwrap_or(Value::Null))
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::{Mode, PolicyFlags};

    #[test]
    fn without_a_flag_there_is_no_policy_and_the_mode_defaults_to_allow() {
        assert!(PolicyFlags::default().policy().is_none());
        let mut flags = PolicyFlags {
            allowed_domain: vec!["a".into()],
            ..PolicyFlags::default()
        };
        assert_eq!(flags.policy().unwrap().mode, "allow-all");
        flags.network_policy = Some(Mode::DenyAll);
        assert_eq!(flags.policy().unwrap().mode, "deny-all");
    }
}
