//! Connectors: what can be attached, what is attached, and the proof that it works. No tool here has a
//! field for a secret, in either direction.

use miosa_api::connector::AttachConnector;
use miosa_api::mcp::{McpPolicy, McpRules};
use miosa_api::preflight::PreflightRequest;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::CallToolResult;
use rmcp::schemars::JsonSchema;
use rmcp::{schemars, tool, tool_router};
use serde::Deserialize;
use serde_json::json;

use super::Tools;
use crate::mcp::answer::{list, one, told};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Show what is attached to this sandbox instead of all there are.
    sandbox_id: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Uid of the connector, such as anthropic/work (see connector_list).
    connector: String,
    /// Variable that will hold the placeholder; the connector's usual one when absent.
    env_name: Option<String>,
    /// Of a connector with an MCP server, only these tools of it may be called (`*` stands for any text).
    #[serde(default)]
    allow_tools: Vec<String>,
    /// Of a connector with an MCP server, a person is asked about each call of these tools.
    #[serde(default)]
    ask_tools: Vec<String>,
    /// Of a connector with an MCP server, these tools may not be called.
    #[serde(default)]
    deny_tools: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detach {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Uid of the connector, or id of the binding.
    connector: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Preflight {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Connector that must work; all that are attached when absent.
    connector: Option<String>,
    /// Agent that will run, such as claude or codex, to check that it starts.
    runner: Option<String>,
    /// Folder that must be there.
    cwd: Option<String>,
}

#[tool_router(router = connector_tools, vis = "pub(super)")]
impl Tools {
    /// List connectors, the stored credentials that sandboxes may use and never see; or with a sandbox what
    /// is attached to it. Values are never shown.
    #[tool(name = "connector_list", annotations(read_only_hint = true))]
    async fn connectors(&self, Parameters(args): Parameters<List>) -> CallToolResult {
        told(match args.sandbox_id {
            Some(id) => list("attached", self.client.bindings(&id).await),
            None => list("connectors", self.client.connectors().await),
        })
    }

    /// Attach a connector to a sandbox: a variable in it holds a placeholder, which the egress broker turns
    /// into the credential for this connector's endpoints alone.
    #[tool(name = "connector_attach", annotations(destructive_hint = false))]
    async fn attach(&self, Parameters(args): Parameters<Attach>) -> CallToolResult {
        let body = AttachConnector {
            connector: args.connector,
            env_name: args.env_name,
            mcp: narrowed(args.allow_tools, args.ask_tools, args.deny_tools),
            ..AttachConnector::default()
        };
        told(one(self
            .client
            .attach_connector(&args.sandbox_id, &body)
            .await))
    }

    /// Take a connector off a sandbox: its placeholder is dead at once.
    #[tool(
        name = "connector_detach",
        annotations(destructive_hint = true, idempotent_hint = true)
    )]
    async fn detach(&self, Parameters(args): Parameters<Detach>) -> CallToolResult {
        let gone = self
            .client
            .detach_connector(&args.sandbox_id, &args.connector)
            .await;
        told(match gone {
            Ok(_) => Ok(json!({"connector": args.connector, "detached": true})),
            Err(error) => Err(error.into()),
        })
    }

    /// Prove from inside a sandbox that its connectors work, are confined, and that no real value is there.
    /// Each step has a code and, if it failed, what to do.
    #[tool(name = "connector_preflight", annotations(read_only_hint = true))]
    async fn preflight(&self, Parameters(args): Parameters<Preflight>) -> CallToolResult {
        let request = PreflightRequest {
            provider: args.runner,
            connector: args.connector,
            model: None,
            cwd: args.cwd,
        };
        told(one(self.client.preflight(&args.sandbox_id, &request).await))
    }
}

/// What is not allowed is refused; where only others are named, the rest of the tools is allowed.
pub(super) fn narrowed(
    mut allow: Vec<String>,
    ask: Vec<String>,
    deny: Vec<String>,
) -> Option<McpPolicy> {
    if allow.is_empty() && !(ask.is_empty() && deny.is_empty()) {
        allow.push("*".to_owned());
    }
    let tools = |tools| McpRules {
        tools,
        ..McpRules::default()
    };
    (!allow.is_empty()).then(|| McpPolicy {
        allow: tools(allow),
        ask: tools(ask),
        deny: tools(deny),
        arguments: Vec::new(),
    })
}
