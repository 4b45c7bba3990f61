//! The flow that must always work, told step by step: the demo prints it, the end-to-end test asserts it.

mod proofs;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::{Value, json};

pub use proofs::{Proofs, Refusal};

use crate::model::{Script, Step};
use crate::rig::Rig;
use crate::world::World;

/// What the agent is asked for.
pub const INSTRUCTION: &str = "Ask the design-research server for a reference and write what it says to /workspace/DESIGN.md.";
/// What the scripted model asks the MCP server to echo; ends up in the file the agent leaves.
pub const REFERENCE: &str = "quiet grid, one accent colour";
/// What the new page shows.
pub const HEADLINE: &str = "Made in a sandbox that never held a key";
const MANAGED: &str = "refero/design-research";
const OWN: &str = "anthropic/workspace-claude";
/// How long the preview may take to show the new page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(60);

/// The secrets of a run of the main job, from the rig or from the caller's environment.
pub struct Keys {
    /// Token of the managed connector.
    pub refero: String,
    /// Key of the model's provider.
    pub anthropic: String,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The sandbox.
    pub sandbox_id: String,
    /// The agent's run.
    pub run_id: String,
    /// Status of the run.
    pub run_status: String,
    /// What the agent said last.
    pub agent_output: String,
    /// The file the agent left.
    pub agent_file: String,
    /// Exit status of the build.
    pub build_exit_code: i64,
    /// Where the page is.
    pub preview_url: String,
    /// Whether the page that was written is shown.
    pub page_shown: bool,
    /// What was shown of the credentials.
    pub proofs: Proofs,
}

/// What the scripted model does with [`INSTRUCTION`].
#[must_use]
pub fn script() -> Script {
    let steps = vec![
        Step::tool("__echo", json!({"message": REFERENCE})),
        Step::tool(
            "Write",
            json!({"file_path": "/workspace/DESIGN.md", "content": "{{result}}\n"}),
        ),
        Step::Text("The reference is in DESIGN.md.".to_owned()),
    ];
    Script::new("Ask the design-research server", steps)
}

/// Performs the main job. `say` gets one plain sentence a step.
pub async fn run(
    world: &World,
    rig: Option<&Rig>,
    keys: &Keys,
    say: &mut (dyn FnMut(&str) + Send),
) -> Result<Summary> {
    say("Create a sandbox from the template `nextjs` (the first time, this builds the template).");
    let id = create(world).await?;
    say("Attach the managed connector refero/design-research, and an own one for the model.");
    connect(world, &id, keys).await?;
    say("Let Claude Code work in the sandbox: it calls the MCP server and leaves a file.");
    let run = prompt(world, &id).await?;
    let file = world
        .run(&["sandbox", "read-file", &id, "/workspace/DESIGN.md"])
        .await?;
    say("Write a page, build the application and wait for port 3000.");
    let build_exit_code = build(world, &id).await?;
    let waited = world
        .json(&[
            "sandbox",
            "wait",
            &id,
            "--port",
            "3000",
            "--timeout",
            "180",
            "--json",
        ])
        .await?;
    let preview_url = waited["url"]
        .as_str()
        .context("`sandbox wait` gave no url")?
        .to_owned();
    say(&format!("Open the preview {preview_url}."));
    let page_shown = page_shows(&preview_url, HEADLINE).await?;
    say("Look for the keys: environment, provider, audit, lists; then misuse the placeholder.");
    let proofs = proofs::gather(world, rig, keys, &id).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Summary {
        run_id: text(&run["id"]),
        run_status: text(&run["status"]),
        agent_output: text(&run["output"]),
        agent_file: String::from_utf8_lossy(&file.stdout).into_owned(),
        sandbox_id: id,
        build_exit_code,
        preview_url,
        page_shown,
        proofs,
    })
}

async fn create(world: &World) -> Result<String> {
    let created = world
        .json(&[
            "sandbox",
            "create",
            "--template",
            "nextjs",
            "--auto-start",
            "--publish-port",
            "3000",
            "--wait",
            "--timeout",
            "1h",
            "--json",
        ])
        .await?;
    Ok(created["id"]
        .as_str()
        .context("the new sandbox has no id")?
        .to_owned())
}

async fn connect(world: &World, id: &str, keys: &Keys) -> Result<()> {
    world
        .json_with_stdin(
            &["admin", "connectors", "set", MANAGED, "--stdin", "--json"],
            &keys.refero,
        )
        .await?;
    world
        .json(&[
            "sandbox",
            "connectors",
            "attach",
            id,
            MANAGED,
            "--env",
            "REFERO_MCP_TOKEN",
            "--json",
        ])
        .await?;
    world
        .json_with_stdin(
            &[
                "connectors",
                "create",
                "anthropic",
                "--name",
                "workspace-claude",
                "--stdin",
                "--json",
            ],
            &keys.anthropic,
        )
        .await?;
    world
        .json(&[
            "sandbox",
            "connectors",
            "attach",
            id,
            OWN,
            "--env",
            "ANTHROPIC_API_KEY",
            "--json",
        ])
        .await?;
    Ok(())
}

async fn prompt(world: &World, id: &str) -> Result<Value> {
    let run = world
        .json(&[
            "sandbox",
            "prompt",
            id,
            "--provider",
            "claude",
            "--connector",
            MANAGED,
            "--preflight",
            "--cwd",
            "/workspace",
            "--json",
            "--",
            INSTRUCTION,
        ])
        .await?;
    ensure!(
        run["status"] == "succeeded",
        "the run did not succeed: {run}"
    );
    Ok(run)
}

async fn build(world: &World, id: &str) -> Result<i64> {
    let page = world.folder().join("page.jsx");
    fs_err::write(
        &page,
        format!("export default function Page() {{\n  return <h1>{HEADLINE}</h1>;\n}}\n"),
    )?;
    let page = page.to_string_lossy().into_owned();
    world
        .json(&[
            "sandbox",
            "write-file",
            id,
            "/workspace/app/page.jsx",
            &page,
            "--json",
        ])
        .await?;
    let built = world
        .json(&[
            "sandbox",
            "exec",
            id,
            "--cwd",
            "/workspace",
            "--json",
            "--",
            "npm",
            "run",
            "build",
        ])
        .await?;
    built["exit_code"]
        .as_i64()
        .context("`exec` gave no exit code")
}

/// Fetches a preview, whose `*.localhost` name the resolver may not know, until it shows `text`.
pub async fn page_shows(url: &str, text: &str) -> Result<bool> {
    let parsed = reqwest::Url::parse(url)?;
    let host = parsed
        .host_str()
        .context("the preview has no host")?
        .to_owned();
    let port = parsed.port_or_known_default().unwrap_or(80);
    let client = reqwest::Client::builder()
        .no_proxy()
        .resolve(&host, ([127, 0, 0, 1], port).into())
        .build()?;
    let deadline = tokio::time::Instant::now() + PAGE_TIMEOUT;
    while tokio::time::Instant::now() < deadline {
        let page = client.get(url).send().await?.text().await?;
        if page.contains(text) {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    Ok(false)
}
