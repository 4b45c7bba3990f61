//! Pause, resume, stop, expiry.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::support::Stage;

/// How long a change that the server makes by itself may take.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

async fn action(stage: &Stage, verb: &str, id: &str, state: &str) -> Result<()> {
    stage.world.json(&["sandbox", verb, id, "--json"]).await?;
    let shown = stage.world.json(&["sandbox", "get", id, "--json"]).await?;
    ensure!(
        shown["state"] == state && shown["status"] == state,
        "after {verb}: {shown}"
    );
    Ok(())
}

pub async fn paused_and_stopped_sandboxes_come_back(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage
        .shell(
            &id,
            "echo kept > /workspace/file; nohup sleep 1000 >/dev/null 2>&1 & echo $! > /tmp/pid",
        )
        .await?;
    action(&stage, "pause", &id, "paused").await?;
    action(&stage, "resume", &id, "running").await?;
    stage
        .shell(&id, "kill -0 $(cat /tmp/pid)")
        .await
        .context("a process did not survive the pause")?;
    action(&stage, "stop", &id, "stopped").await?;
    action(&stage, "resume", &id, "running").await?;
    ensure!(
        stage.shell(&id, "cat /workspace/file").await? == "kept",
        "the disk did not survive the stop"
    );
    let gone = stage.world.exec(&id, "pgrep -x sleep").await?;
    ensure!(gone["exit_code"] != 0, "a process survived the stop");
    Ok(())
}

pub async fn exec_in_a_paused_sandbox_is_refused(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    action(&stage, "pause", &id, "paused").await?;
    let error = stage
        .refused(1, &["sandbox", "exec", &id, "--json", "--", "true"])
        .await?;
    ensure!(
        error["code"] == "SANDBOX_NOT_RUNNING" && error["hint"].is_string(),
        "{error}"
    );
    Ok(())
}

pub async fn a_timeout_destroys_or_pauses(stage: Arc<Stage>) -> Result<()> {
    let kept = stage.sandbox(&["--timeout", "2s"]).await?;
    let gone = stage
        .sandbox(&["--timeout", "2s", "--non-persistent"])
        .await?;
    becomes(&stage, &kept, "paused").await?;
    becomes(&stage, &gone, "destroyed").await
}

async fn becomes(stage: &Stage, id: &str, state: &str) -> Result<()> {
    let deadline = tokio::time::Instant::now() + CHANGE_TIMEOUT;
    loop {
        let output = stage.world.run(&["sandbox", "get", id, "--json"]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let gone = state == "destroyed" && text.contains("\"NOT_FOUND\"");
        if gone || text.contains(&format!("\"state\": \"{state}\"")) {
            return Ok(());
        }
        ensure!(
            tokio::time::Instant::now() < deadline,
            "never {state}: {text}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
