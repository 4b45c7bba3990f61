//! The tools, one file per noun; names that the hosted service's MCP server has are the same here.

mod connector;
mod exec;
mod file;
mod network;
mod portable;
mod preview;
mod run;
mod sandbox;
mod template;

use std::time::Duration;

use miosa_api::limits::{MCP_TOOL_WAIT_DEFAULT, MCP_TOOL_WAIT_MAX};
use miosa_client::Client;
use rmcp::handler::server::router::tool::ToolRouter;

/// All tools, on behalf of one key.
pub struct Tools {
    client: Client,
}

impl Tools {
    /// Tools that call with this client.
    pub const fn new(client: Client) -> Self {
        Self { client }
    }
}

/// Every tool under its name.
pub fn router() -> ToolRouter<Tools> {
    let mut router = Tools::sandbox_tools()
        + Tools::exec_tools()
        + Tools::file_tools()
        + Tools::connector_tools()
        + Tools::run_tools()
        + Tools::preview_tools()
        + Tools::network_tools()
        + Tools::template_tools();
    for route in router.map.values_mut() {
        portable::make(&mut route.attr);
    }
    router
}

/// What a caller allows a tool to wait.
fn patience(wait_sec: Option<u64>) -> Duration {
    wait_sec
        .map_or(MCP_TOOL_WAIT_DEFAULT, Duration::from_secs)
        .min(MCP_TOOL_WAIT_MAX)
}

#[cfg(test)]
mod tests;
