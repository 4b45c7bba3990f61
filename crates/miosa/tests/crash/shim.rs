//! SIGKILL for a sandbox's shim.

use anyhow::{Result, ensure};

use crate::host::kill;
use crate::support::{Stage, until};

pub async fn its_death_is_an_error_that_can_be_deleted(stage: &mut Stage) -> Result<()> {
    let id = stage.sandbox().await?;
    let start = "nohup sleep 100000 >/dev/null 2>&1 &";
    stage.shell(&id, start).await?;
    kill(stage.process("shim", &id)?)?;
    let shown = until("the sandbox is an error", async || {
        let shown = stage.show(&id).await?;
        Ok((shown["state"] == "error").then_some(shown))
    });
    let shown = shown.await?;
    let reason = shown["metadata"]["last_error"]["reason"].as_str();
    ensure!(
        reason.is_some_and(|reason| !reason.is_empty()),
        "no reason: {shown}"
    );
    stage.destroy(&id).await
}
