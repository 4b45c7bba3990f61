//! The MCP server itself: whose key a call is made with, and which tool it is.

use miosa_client::Client;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::ToolCallContext;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};

use super::answer;
use super::tools::{self, Tools};

/// What the model of a client is told about the whole.
const INSTRUCTIONS: &str = "Sandboxes of miosa: isolated machines for code and agents that never hold a \
    credential. Usual order: sandbox_create, connector_attach (a variable in the sandbox then holds a placeholder that \
    works only for that provider), connector_preflight, then sandbox_exec, sandbox_write_file or run_create (an agent \
    that works in the sandbox), and sandbox_expose for a web address. Destroy what is no longer needed with \
    sandbox_destroy. When a request from inside is refused, miosa_network_why and miosa_audit_query say why. Secrets are \
    never given or taken by these tools: a person stores them with `miosa connectors create <provider> --stdin`.";

/// Who a request was made by: put beside it by the HTTP side, once the API knew the key.
#[derive(Clone)]
pub struct Caller(pub Client);

/// One server for one client, or for every request of many.
#[derive(Clone)]
pub struct Server {
    own: Option<Client>,
    router: ToolRouter<Tools>,
}

impl Server {
    /// Every call is made with this client's key.
    pub fn on_behalf_of(client: Client) -> Self {
        Self {
            own: Some(client),
            router: tools::router(),
        }
    }

    /// Every call is made with the key of its own request, a [`Caller`].
    pub fn on_behalf_of_each_caller() -> Self {
        Self {
            own: None,
            router: tools::router(),
        }
    }

    fn client(&self, context: &RequestContext<RoleServer>) -> Result<Client, ErrorData> {
        let carried = || {
            let parts = context.extensions.get::<axum::http::request::Parts>()?;
            parts.extensions.get::<Caller>().cloned()
        };
        let client = self
            .own
            .clone()
            .or_else(|| carried().map(|caller| caller.0));
        client.ok_or_else(|| ErrorData::internal_error("the request has no caller", None))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let name =
            Implementation::new("miosa", env!("CARGO_PKG_VERSION")).with_title("miosa sandboxes");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(name)
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.router.list_all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.router.get(name).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let tools = Tools::new(self.client(&context)?);
        let call = ToolCallContext::new(&tools, request, context);
        Ok(match self.router.call(call).await? {
            CallToolResponse::Complete(result) => answer::with_code(result).into(),
            other => other,
        })
    }
}
