//! What sandboxes are made from.

use rmcp::model::CallToolResult;
use rmcp::{tool, tool_router};

use super::Tools;
use crate::mcp::answer::{list, told};

#[tool_router(router = template_tools, vis = "pub(super)")]
impl Tools {
    /// List the templates sandboxes can be made from, and whether each is built.
    #[tool(name = "sandbox_template_list", annotations(read_only_hint = true))]
    async fn templates(&self) -> CallToolResult {
        told(list("templates", self.client.templates(false).await))
    }
}
