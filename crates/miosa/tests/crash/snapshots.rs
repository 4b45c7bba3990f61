//! SIGKILL for the server in the middle of a snapshot and of a fork: no half one is left, and the sandbox it
//! was taken of goes on.

use anyhow::{Result, ensure};

use crate::moments::kill_during;
use crate::support::Stage;

/// Enough for a copy that takes a while.
const FILL: &str = "dd if=/dev/urandom of=/workspace/big bs=1M count=48 2>/dev/null && sync";

fn is_part(name: &str) -> bool {
    name.ends_with(".part")
}

async fn filled(stage: &Stage) -> Result<String> {
    let id = stage.sandbox().await?;
    stage.shell(&id, FILL).await?;
    Ok(id)
}

/// What every such death must leave: whole snapshots alone, and the sandbox running.
async fn whole(stage: &Stage, id: &str) -> Result<()> {
    let parts: Vec<String> = stage
        .snapshots()
        .into_iter()
        .filter(|name| is_part(name))
        .collect();
    ensure!(parts.is_empty(), "half a snapshot is left: {parts:?}");
    stage.shell(id, "true").await?;
    let shown = stage.show(id).await?;
    ensure!(shown["state"] == "running", "not running: {shown}");
    Ok(())
}

pub async fn of_a_snapshot(stage: &mut Stage) -> Result<()> {
    type Moment = (&'static str, fn(&Stage) -> bool);
    let moments: [Moment; 2] = [
        ("half the copy", |stage| {
            stage.snapshots().iter().any(|name| is_part(name))
        }),
        ("its name", |stage| {
            stage.snapshots().iter().any(|name| !is_part(name))
        }),
    ];
    for (moment, reached) in moments {
        let id = filled(stage).await?;
        kill_during(stage, &["snapshot", "create", &id], moment, reached).await?;
        whole(stage, &id).await?;
        let list = ["sandbox", "snapshot", "list", &id, "--json"];
        let listed = stage.world.json(&list).await?;
        let listed: Vec<&str> = listed
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| row["id"].as_str())
            .collect();
        ensure!(
            stage.snapshots().len() == listed.len(),
            "killed at {moment}: {:?} on the host, listed {listed:?}",
            stage.snapshots()
        );
        for snapshot in listed {
            let delete = ["sandbox", "snapshot", "delete", &id, snapshot, "--json"];
            stage.world.run(&delete).await?;
        }
        ensure!(
            stage.snapshots().is_empty(),
            "left: {:?}",
            stage.snapshots()
        );
        stage.destroy(&id).await?;
    }
    Ok(())
}

pub async fn of_a_fork(stage: &mut Stage) -> Result<()> {
    type Moment = (&'static str, fn(&Stage) -> bool);
    let moments: [Moment; 3] = [
        ("half the copy", |stage| {
            stage.snapshots().iter().any(|name| is_part(name))
        }),
        ("the copy's name", |stage| {
            stage.snapshots().iter().any(|name| !is_part(name))
        }),
        ("the fork's folder", |stage| {
            stage.ids_with_files().len() > 1
        }),
    ];
    for (moment, reached) in moments {
        let id = filled(stage).await?;
        kill_during(stage, &["fork", &id], moment, reached).await?;
        whole(stage, &id).await?;
        for (other, state) in stage.listed().await? {
            ensure!(
                matches!(state.as_str(), "running" | "error"),
                "killed at {moment} of a fork: {other} is {state}"
            );
            stage.destroy(&other).await?;
        }
        ensure!(
            stage.snapshots().is_empty(),
            "killed at {moment} of a fork, left: {:?}",
            stage.snapshots()
        );
    }
    Ok(())
}
