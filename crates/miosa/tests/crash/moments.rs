//! SIGKILL for the server in the middle of a create, a stop, a delete: whatever had been done by then,
//! the next start leaves nothing on the host that the database does not list, and both say the same.

use anyhow::{Context as _, Result, ensure};

use crate::support::{Stage, until};

/// Files of a start in the order in which they appear.
const STEPS_OF_A_START: [&str; 5] = ["", "ca.pem", "spec.json", "state.json", "guest.sock"];

pub async fn of_a_create(stage: &mut Stage) -> Result<()> {
    for file in STEPS_OF_A_START {
        create_until(stage, &format!("file `{file}`"), move |stage, id| {
            stage.sandbox_dir(id).join(file).exists()
        })
        .await?;
    }
    create_until(stage, "a disk", |stage, id| stage.disk(id).exists()).await?;
    create_until(stage, "a control group", |stage, id| !no_group(stage, id)).await
}

async fn create_until(
    stage: &mut Stage,
    moment: &str,
    reached: impl Fn(&Stage, &str) -> bool,
) -> Result<()> {
    let before = stage.ids_with_files();
    let any_new = |stage: &Stage| {
        let ids = stage.ids_with_files();
        ids.difference(&before).any(|id| reached(stage, id))
    };
    kill_during(stage, &["create", "--wait"], moment, any_new).await?;
    for (id, state) in stage.listed().await? {
        ensure!(
            state == "error" || state == "running",
            "killed at {moment} of a create: {id} is {state}"
        );
        stage.destroy(&id).await?;
    }
    Ok(())
}

pub async fn of_a_stop(stage: &mut Stage) -> Result<()> {
    type Moment = (&'static str, fn(&Stage, &str) -> bool);
    let moments: [Moment; 3] = [
        ("its guest's end", |stage, id| {
            stage.sandbox_dir(id).join("exit.json").exists()
        }),
        ("its socket's end", |stage, id| {
            !stage.sandbox_dir(id).join("guest.sock").exists()
        }),
        ("its control group's end", no_group),
    ];
    for (moment, reached) in moments {
        let id = stage.sandbox().await?;
        kill_during(stage, &["stop", &id], moment, |stage| reached(stage, &id)).await?;
        let shown = stage.show(&id).await?;
        ensure!(
            shown["state"] == "stopped",
            "killed at {moment} of a stop: {shown}"
        );
        stage
            .world
            .json(&["sandbox", "resume", &id, "--json"])
            .await?;
        stage.shell(&id, "true").await?;
        stage.destroy(&id).await?;
    }
    Ok(())
}

pub async fn of_a_delete(stage: &mut Stage) -> Result<()> {
    type Moment = (&'static str, fn(&Stage, &str) -> bool);
    let moments: [Moment; 4] = [
        ("its guest's end", |stage, id| {
            let folder = stage.sandbox_dir(id);
            folder.join("exit.json").exists() || !folder.exists()
        }),
        ("its control group's end", no_group),
        ("its disk's end", |stage, id| !stage.disk(id).exists()),
        ("its folder's end", |stage, id| {
            !stage.sandbox_dir(id).exists()
        }),
    ];
    for (moment, reached) in moments {
        let id = stage.sandbox().await?;
        kill_during(stage, &["delete", &id], moment, |stage| reached(stage, &id)).await?;
        let listed = stage.listed().await?;
        ensure!(
            !listed.iter().any(|(other, _)| *other == id),
            "killed at {moment} of a delete: it is listed"
        );
        let left = stage.remains(&id);
        ensure!(
            left.is_empty(),
            "killed at {moment} of a delete, left:\n{}",
            left.join("\n")
        );
    }
    Ok(())
}

fn no_group(stage: &Stage, id: &str) -> bool {
    stage.groups(id).next().is_none()
}

/// Calls the CLI, kills the server at the moment, starts it again, and compares host and database.
pub async fn kill_during(
    stage: &mut Stage,
    call: &[&str],
    moment: &str,
    reached: impl Fn(&Stage) -> bool,
) -> Result<()> {
    let mut caller = stage
        .world
        .command()
        .arg("sandbox")
        .args(call)
        .arg("--json")
        .spawn()?;
    let context = || format!("{moment} of {call:?}");
    until(moment, async || Ok(reached(stage).then_some(())))
        .await
        .with_context(context)?;
    stage.world.kill_server().await?;
    stage.remember();
    caller.kill().await?;
    stage.world.start_server().await?;
    consistent(stage).await.with_context(context)
}

async fn consistent(stage: &Stage) -> Result<()> {
    let listed = stage.listed().await?;
    for id in stage.ids_on_host() {
        ensure!(
            listed.iter().any(|(other, _)| *other == id),
            "an orphan:\n{}",
            stage.remains(&id).join("\n")
        );
    }
    for (id, state) in listed {
        let running = stage.running_parts(&id);
        if state == "running" {
            stage.shell(&id, "true").await?;
        } else {
            ensure!(
                running.is_empty(),
                "{id} is {state}, yet there is:\n{}",
                running.join("\n")
            );
        }
        let reason = &stage.show(&id).await?["metadata"]["last_error"]["reason"];
        ensure!(
            state != "error" || reason.is_string(),
            "{id} is an error without a reason"
        );
    }
    Ok(())
}
