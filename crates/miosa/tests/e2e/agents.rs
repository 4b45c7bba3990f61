//! Agents other than the main job's, and what can go wrong with a run.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use miosa_testkit::model::{Script, Step};
use serde_json::json;

use crate::support::{MANAGED, Stage};

/// What the scripted model does for Codex.
pub fn codex_script() -> Script {
    let steps = vec![
        Step::tool("__echo", json!({"message": "warm greys"})),
        Step::tool(
            "exec_command",
            json!({"cmd": "echo 'from codex: warm greys' > /workspace/CODEX.md"}),
        ),
        Step::Text("Codex has written it down.".to_owned()),
    ];
    Script::new("write it to CODEX.md", steps)
}

pub async fn codex_calls_the_connector(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage
        .connector("openai", "codex", &stage.rig.model_key)
        .await?;
    stage.attach(&id, "openai/codex", "OPENAI_API_KEY").await?;
    stage.attach(&id, MANAGED, "REFERO_MCP_TOKEN").await?;
    let run = stage
        .world
        .json(&[
            "sandbox",
            "prompt",
            &id,
            "--provider",
            "codex",
            "--model",
            "gpt-5-codex",
            "--connector",
            MANAGED,
            "--preflight",
            "--cwd",
            "/workspace",
            "--json",
            "--",
            "Ask for a reference and write it to CODEX.md.",
        ])
        .await?;
    ensure!(
        run["status"] == "succeeded"
            && run["output"]
                .as_str()
                .unwrap_or_default()
                .contains("written it down"),
        "{run}"
    );
    ensure!(
        stage
            .shell(&id, "cat /workspace/CODEX.md")
            .await?
            .contains("warm greys"),
        "no file"
    );
    let calls = stage
        .rig
        .refero
        .log
        .all()
        .iter()
        .filter(|seen| seen.method == "POST" && seen.target == "/mcp")
        .count();
    ensure!(calls > 0, "the MCP server saw nothing");
    Ok(())
}

pub async fn a_custom_command_is_an_agent(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    let program = "sh -c 'echo got: \"$MIOSA_INSTRUCTION\"; exit 3'";
    let prompt = [
        "sandbox",
        "prompt",
        &id,
        "--provider",
        "custom",
        "--runtime-command",
        program,
        "--json",
        "--",
        "hello there",
    ];
    let output = stage.world.run(&prompt).await?;
    ensure!(
        output.status.code() == Some(1),
        "a failed run exits with {}",
        output.status
    );
    let run: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    ensure!(run["exit_code"] == 3 && run["status"] == "failed", "{run}");
    ensure!(
        run["output"]
            .as_str()
            .unwrap_or_default()
            .contains("got: hello there"),
        "{run}"
    );
    Ok(())
}

pub async fn a_run_can_be_canceled(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    let started = stage
        .world
        .command()
        .args([
            "sandbox",
            "prompt",
            &id,
            "--provider",
            "custom",
            "--runtime-command",
            "sh -c 'touch /tmp/begun; sleep 600'",
            "--json",
            "--",
            "wait",
        ])
        .spawn()?;
    let listed = async {
        loop {
            let runs = stage.world.json(&["runs", "list", "--json"]).await?;
            let own = runs
                .as_array()
                .into_iter()
                .flatten()
                .find(|run| run["target_id"] == id.as_str() && run["status"] == "running")
                .cloned();
            match own {
                Some(run) => return anyhow::Ok(run["id"].as_str().context("no id")?.to_owned()),
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    };
    let run = tokio::time::timeout(Duration::from_secs(30), listed)
        .await
        .context("the run never runs")??;
    stage
        .world
        .json(&["runs", "cancel", &run, "--json"])
        .await?;
    let output = tokio::time::timeout(Duration::from_secs(30), started.wait_with_output())
        .await
        .context("the prompt goes on")??;
    ensure!(
        String::from_utf8_lossy(&output.stdout).contains("canceled"),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    ensure!(
        stage.world.exec(&id, "pgrep -x sleep").await?["exit_code"] != 0,
        "the agent's process goes on"
    );
    Ok(())
}
