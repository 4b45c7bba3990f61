//! Codex: `codex exec --json` with a `CODEX_HOME` of the run's own.

use std::fmt::Write;

use super::{AgentPlan, PlanFile, RunContext, variables, words};

const BASE_URL: &str = "https://api.openai.com/v1";
const KEY_VARIABLE: &str = "OPENAI_API_KEY";
/// No analytics, no plugin catalogue, no update check: only the model's address is called.
const QUIET: &str = "\n[analytics]\nenabled = false\n\n[features]\nplugins = false\napps = false\nremote_plugin = false\n";

pub(super) fn plan(run: &RunContext) -> AgentPlan {
    let home = format!("{}/codex", run.folder());
    let mut argv = words(&[
        "codex",
        "exec",
        "--json",
        "--skip-git-repo-check",
        "--dangerously-bypass-approvals-and-sandbox",
    ]);
    if let Some(model) = &run.model {
        argv.push(format!("--model={model}"));
    }
    argv.push("-".to_owned());
    AgentPlan {
        files: vec![PlanFile {
            path: format!("{home}/config.toml"),
            content: config(run).into_bytes(),
            mode: 0o600,
        }],
        argv,
        env: variables(&[("CODEX_HOME", &home), ("IS_SANDBOX", "1")]),
        stdin: Some(run.instruction.clone().into_bytes()),
    }
}

fn config(run: &RunContext) -> String {
    let key_variable = run
        .connectors
        .iter()
        .find(|c| c.provider == "openai")
        .map_or(KEY_VARIABLE, |c| &c.env_name);
    let base_url = run
        .env
        .get("OPENAI_BASE_URL")
        .map_or(BASE_URL, String::as_str);
    let mut text =
        String::from("check_for_update_on_startup = false\nmodel_provider = \"miosa\"\n");
    let _ = write!(
        text,
        "\n[model_providers.miosa]\nname = \"OpenAI\"\nbase_url = {}\nenv_key = {}\nwire_api = \"responses\"\n",
        quoted(base_url),
        quoted(key_variable),
    );
    for (server, env_name) in run.mcp_servers() {
        let _ = write!(
            text,
            "\n[mcp_servers.{}]\nurl = {}\n",
            quoted(&server.name),
            quoted(&server.url)
        );
        let _ = match (server.header.as_str(), server.prefix.as_str()) {
            ("authorization", "Bearer ") => {
                writeln!(text, "bearer_token_env_var = {}", quoted(env_name))
            }
            // Codex puts a variable in as the whole header only; another prefix cannot be written.
            (header, _) => writeln!(
                text,
                "env_http_headers = {{ {} = {} }}",
                quoted(header),
                quoted(env_name)
            ),
        };
    }
    text + QUIET
}

/// A TOML basic string; JSON's escapes are a subset of TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
