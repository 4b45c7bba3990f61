//! SIGKILL for the server while sandboxes run.

use anyhow::{Context as _, Result, ensure};

use crate::support::{PROBE, Stage, until};

pub async fn a_running_sandbox_is_found_again(stage: &mut Stage) -> Result<()> {
    let id = stage.connected().await?;
    let start = "nohup sleep 100000 >/dev/null 2>&1 & echo $! > /tmp/pid";
    stage.shell(&id, start).await?;
    stage.restart().await?;
    let shown = stage.show(&id).await?;
    ensure!(shown["state"] == "running", "after the restart: {shown}");
    stage
        .shell(&id, "kill -0 $(cat /tmp/pid)")
        .await
        .context("its process did not survive")?;
    ensure!(
        stage.shell(&id, PROBE).await? == "200",
        "its connector does not work any more"
    );
    stage.destroy(&id).await
}

/// Counts up until it is told to end, prints each number, and leaves the last one in a file.
const COUNTER: &str = "sh -c 'i=0; while [ ! -e /tmp/go ]; do i=$((i+1)); echo tick $i; echo $i > /tmp/tick; sleep 0.02; done; echo last $i; exit 7'";

pub async fn a_run_ends_with_its_whole_output(stage: &mut Stage) -> Result<()> {
    let id = stage.sandbox().await?;
    let prompt = [
        "sandbox",
        "prompt",
        &id,
        "--provider",
        "custom",
        "--runtime-command",
        COUNTER,
        "--no-wait",
        "--json",
        "--",
        "count",
    ];
    let run = stage.world.json(&prompt).await?;
    let run = run["id"].as_str().context("no run")?.to_owned();
    counts_past(stage, &id, 3).await?;
    stage.world.kill_server().await?;
    let then = tick(stage, &id)?;
    counts_past(stage, &id, then + 5).await?;
    stage.world.start_server().await?;
    stage.shell(&id, "touch /tmp/go").await?;
    // A failed run has an exit code of its own; what counts is the run.
    stage.world.run(&["runs", "wait", &run, "--json"]).await?;
    let shown = stage.world.json(&["runs", "show", &run, "--json"]).await?;
    ensure!(
        shown["status"] == "failed" && shown["exit_code"] == 7,
        "the run ended otherwise: {shown}"
    );
    let last = tick(stage, &id)?;
    let want: String = (1..=last).map(|i| format!("tick {i}\n")).collect();
    let want = format!("{want}last {last}");
    let output = shown["output"].as_str().context("no output")?;
    ensure!(output.trim_end() == want, "not the whole output: {output}");
    stage.destroy(&id).await
}

async fn counts_past(stage: &Stage, id: &str, number: u64) -> Result<()> {
    until("the run counts on", async || {
        Ok((tick(stage, id)? > number).then_some(()))
    })
    .await
}

fn tick(stage: &Stage, id: &str) -> Result<u64> {
    Ok(stage.inside(id, "/tmp/tick")?.trim().parse().unwrap_or(0))
}
