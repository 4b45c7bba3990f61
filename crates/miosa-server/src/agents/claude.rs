//! Claude Code: `claude -p` with JSON lines out and exactly the MCP servers of the connectors.

use serde_json::{Map, Value, json};

use super::{AgentPlan, PlanFile, RunContext, variables, words};

/// `IS_SANDBOX` lets root skip permission prompts; `ENABLE_TOOL_SEARCH` off offers the connectors'
/// few tools to the model at once instead of after a search; the rest keeps it from calling
/// anything but the API (without them: nine connections a run).
const ENV: &[(&str, &str)] = &[
    ("IS_SANDBOX", "1"),
    ("ENABLE_TOOL_SEARCH", "false"),
    ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
    ("DISABLE_AUTOUPDATER", "1"),
    ("DISABLE_TELEMETRY", "1"),
    ("DISABLE_ERROR_REPORTING", "1"),
];

pub(super) fn plan(run: &RunContext) -> AgentPlan {
    let config = format!("{}/mcp.json", run.folder());
    let mut argv = words(&[
        "claude",
        "-p",
        "--output-format",
        "stream-json",
        "--verbose",
        "--dangerously-skip-permissions",
    ]);
    if let Some(model) = &run.model {
        argv.push(format!("--model={model}"));
    }
    argv.extend([
        "--mcp-config".to_owned(),
        config.clone(),
        "--strict-mcp-config".to_owned(),
    ]);
    AgentPlan {
        files: vec![PlanFile {
            path: config,
            content: format!("{:#}\n", mcp_config(run)).into_bytes(),
            mode: 0o600,
        }],
        argv,
        env: variables(ENV),
        stdin: Some(run.instruction.clone().into_bytes()),
    }
}

/// Claude Code puts the variable in itself, so the file holds no placeholder.
fn mcp_config(run: &RunContext) -> Value {
    let mut servers = Map::new();
    for (server, env_name) in run.mcp_servers() {
        let value = format!("{}${{{env_name}}}", server.prefix);
        let header = header_case(&server.header);
        servers.insert(
            server.name.clone(),
            json!({ "type": "http", "url": server.url, "headers": { header: value } }),
        );
    }
    json!({ "mcpServers": servers })
}

/// `x-api-key` → `X-Api-Key`.
fn header_case(name: &str) -> String {
    name.split('-')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_ascii_uppercase() + rest
        })
        .collect::<Vec<_>>()
        .join("-")
}
