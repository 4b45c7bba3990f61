//! What a sandbox may ask of MCP servers.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_api::mcp::McpTool;
use miosa_client::Client;

use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Verbs of MCP servers.
#[derive(Subcommand)]
pub enum Mcp {
    /// List the tools of attached connectors' MCP servers: which the sandbox may call, and why
    #[command(
        after_help = "Examples:\n  miosa sandbox mcp tools <id> --connector github/bot --json"
    )]
    Tools(Tools),
}

/// Whose tools.
#[derive(Args)]
pub struct Tools {
    /// Id of the sandbox
    id: String,
    /// Only of this connector
    #[arg(long, value_name = "UID")]
    connector: Option<String>,
}

impl Mcp {
    /// Runs the verb.
    pub async fn run(self, client: &Client, printer: &Printer) -> Result<ExitCode> {
        let Self::Tools(args) = self;
        let answer = client
            .mcp_tools(&args.id, args.connector.as_deref())
            .await?;
        printer.show(&answer, |tools| View::Table {
            headers: &["CONNECTOR", "TOOL", "DECISION", "RULE", "CONDITIONS"],
            rows: tools.into_iter().map(row).collect(),
            empty: "no tools",
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn row(tool: McpTool) -> Vec<String> {
    let decision = match (tool.allowed, tool.rule.as_str()) {
        (true, "mcp:ask.tools") => "ask",
        (true, _) => "allow",
        (false, _) => "deny",
    };
    let conditions = tool.conditions.join(", ");
    vec![
        tool.connector,
        tool.name,
        decision.to_owned(),
        tool.rule,
        conditions,
    ]
}
