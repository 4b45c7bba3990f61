//! Web addresses of what runs in a sandbox.

use miosa_api::preview::Expose;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::CallToolResult;
use rmcp::schemars::JsonSchema;
use rmcp::{schemars, tool, tool_router};
use serde::Deserialize;

use super::Tools;
use crate::mcp::answer::{list, one, told};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Id of the sandbox.
    sandbox_id: String,
    /// Port inside; the template's when absent.
    port: Option<u16>,
    /// For people.
    title: Option<String>,
    /// public or private (needs a login); the server's own default when absent.
    visibility: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// Id of the sandbox.
    sandbox_id: String,
}

#[tool_router(router = preview_tools, vis = "pub(super)")]
impl Tools {
    /// Give a port of a sandbox a web address; `url` is where to open it.
    #[tool(
        name = "sandbox_expose",
        annotations(destructive_hint = false, idempotent_hint = true)
    )]
    async fn expose(&self, Parameters(args): Parameters<Port>) -> CallToolResult {
        let body = Expose {
            port: args.port,
            title: args.title,
            visibility: args.visibility,
        };
        told(one(self.client.expose(&args.sandbox_id, &body).await))
    }

    /// List the web addresses of a sandbox.
    #[tool(name = "sandbox_previews", annotations(read_only_hint = true))]
    async fn previews(&self, Parameters(args): Parameters<Which>) -> CallToolResult {
        told(list(
            "previews",
            self.client.previews(&args.sandbox_id).await,
        ))
    }
}
