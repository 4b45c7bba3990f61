//! Commands in a sandbox.

use std::collections::BTreeMap;

use miosa_api::exec::ExecRequest;
use miosa_api::limits::MCP_TOOL_TEXT_BYTES_MAX;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::CallToolResult;
use rmcp::schemars::JsonSchema;
use rmcp::{schemars, tool, tool_router};
use serde::Deserialize;

use super::Tools;
use crate::mcp::answer::{Outcome, shortened, told};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Text for the shell; may have many lines.
    command: String,
    /// Working directory; the template's when absent.
    cwd: Option<String>,
    /// Variables on top of the sandbox's. Never put a secret here: attach a connector instead.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Text for standard input.
    stdin: Option<String>,
    /// Seconds until it is killed, at most 600 (which it is when absent).
    timeout: Option<f64>,
}

#[tool_router(router = exec_tools, vis = "pub(super)")]
impl Tools {
    /// Run a shell command in a sandbox and wait for its end. A command that fails is a result too: look at
    /// exit_code. Long output keeps its beginning and its end.
    #[tool(name = "sandbox_exec", annotations(destructive_hint = true))]
    async fn exec(&self, Parameters(args): Parameters<Exec>) -> CallToolResult {
        told(self.executed(args).await)
    }

    async fn executed(&self, args: Exec) -> Outcome {
        let request = ExecRequest {
            command: args.command,
            cwd: args.cwd,
            env: args.env,
            stdin: args.stdin,
            timeout: args.timeout,
            ..ExecRequest::default()
        };
        let mut answer = self
            .client
            .exec(&args.sandbox_id, &request)
            .await?
            .json()
            .clone();
        for stream in ["stdout", "stderr"] {
            let (text, cut) = shortened(
                answer[stream].as_str().unwrap_or_default(),
                MCP_TOOL_TEXT_BYTES_MAX,
            );
            if cut {
                answer[stream] = text.into();
                answer["truncated"] = true.into();
            }
        }
        Ok(answer)
    }
}
