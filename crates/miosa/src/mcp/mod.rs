//! `miosa mcp`: any MCP client orchestrates sandboxes, over standard streams or streamable HTTP.
//!
//! Every tool is a thin call of the public API through `miosa-client`, on behalf of one key: over standard
//! streams that of the CLI's settings, over HTTP the one the request carries. Read in this order: `tools`
//! (one file per noun), `answer` (how results and errors are told), `server`, then `http`.
//!
//! Invariants: no tool takes or gives back a secret; over HTTP nothing is done without a key that the API knows.

mod answer;
mod http;
mod server;
mod tools;

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use miosa_client::Client;
use rmcp::ServiceExt;

use crate::cli::error::{CliError, Fault, Result};
use crate::cli::printer::Printer;
use crate::cli::settings::Settings;
use server::Server;

/// Shown in the help.
pub const EXAMPLES: &str = "Examples:\n  \
    claude mcp add miosa -- miosa mcp\n  \
    codex mcp add miosa -- miosa mcp\n  \
    gemini mcp add miosa miosa mcp\n  \
    miosa mcp --http 127.0.0.1:7421\n  \
    claude mcp add --transport http miosa http://127.0.0.1:7421/mcp --header \"Authorization: Bearer $MIOSA_API_KEY\"\n  \
    miosa mcp --http 10.0.0.5:7421 --allow-host mcp.example.com    # behind a TLS proxy";

/// How the server is reached.
#[derive(Args)]
pub struct Mcp {
    /// Listen for streamable HTTP instead of speaking on standard input and output
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
    /// Name under which HTTP clients may call it, beside the loopback names; may be repeated
    #[arg(long, value_name = "NAME[:PORT]", requires = "http")]
    allow_host: Vec<String>,
    /// Origin of a web page that may call it (no page may otherwise); may be repeated
    #[arg(long, value_name = "SCHEME://NAME[:PORT]", requires = "http")]
    allow_origin: Vec<String>,
}

/// Serves until the client goes, or until it is told to end.
pub async fn serve(
    args: Mcp,
    settings: &Settings,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    match args.http {
        Some(address) => {
            let listen = http::Listen {
                address,
                hosts: args.allow_host,
                origins: args.allow_origin,
            };
            http::serve(listen, client, printer).await
        }
        None => stdio(settings, client).await,
    }
}

async fn stdio(settings: &Settings, client: &Client) -> Result<ExitCode> {
    if settings.key_source.is_none() {
        return Err(CliError::new(
            Fault::Auth,
            "UNAUTHORIZED",
            "there is no API key to act with",
        )
        .hint("log in with `miosa login`, or set MIOSA_API_KEY in the client's settings of this server"));
    }
    let server = Server::on_behalf_of(client.clone());
    let running = server.serve(rmcp::transport::stdio()).await;
    let ended = match running {
        Ok(running) => running.waiting().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match ended {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(why) => Err(CliError::user(
            "CLI_USAGE_ERROR",
            "standard input is not that of an MCP client",
        )
        .why(why)
        .hint("let an MCP client start it, or listen with --http 127.0.0.1:7421")),
    }
}
