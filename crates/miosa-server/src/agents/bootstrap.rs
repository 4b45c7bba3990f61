//! `/workspace/.miosa/runtime-bootstrap.json`: what an agent or a tool may know of its run. Names of
//! variables, never what is in them.

use serde_json::json;

use super::{PlanFile, RunContext, Runner};

/// Where it is.
const PATH: &str = "/workspace/.miosa/runtime-bootstrap.json";

pub(super) fn file(runner: Runner, run: &RunContext) -> PlanFile {
    let connectors: Vec<_> = run
        .connectors
        .iter()
        .map(|c| json!({ "uid": c.uid, "provider": c.provider, "env_name": c.env_name }))
        .collect();
    let servers: Vec<_> = run
        .mcp_servers()
        .map(|(server, env_name)| json!({ "name": server.name, "url": server.url, "env_name": env_name }))
        .collect();
    let facts = json!({
        "run_id": run.run_id,
        "runner": runner.as_str(),
        "cwd": run.cwd,
        "connectors": connectors,
        "mcp_servers": servers,
    });
    PlanFile {
        path: PATH.to_owned(),
        content: format!("{facts:#}\n").into_bytes(),
        mode: 0o644,
    }
}
