//! SIGKILL for the egress broker.

use anyhow::{Result, ensure};

use crate::host::kill;
use crate::support::{PROBE, Stage, until};

/// The sandbox asks again and again. Without a broker (and a server that would start one) no answer
/// comes; with the next one the same request with the same trust passes again.
pub async fn nothing_passes_without_it(stage: &mut Stage) -> Result<()> {
    let id = stage.connected().await?;
    let ask = format!("nohup sh -c '{ASK_ON}' >/dev/null 2>&1 &");
    stage
        .shell(
            &id,
            &format!("cat > /tmp/probe <<'END'\n{PROBE}\nEND\n{ask}"),
        )
        .await?;
    answers(stage, &id, 0, &["200", "200"]).await?;

    stage.world.kill_server().await?;
    kill(stage.process("egress", "")?)?;
    // One request may have been under way.
    let before = codes(stage, &id)?.len() + 1;
    answers(stage, &id, before, &["000", "000"]).await?;

    stage.world.start_server().await?;
    let before = codes(stage, &id)?.len() + 1;
    passes_again(stage, &id, before).await?;

    let old = stage.process("egress", "")?;
    kill(old)?;
    let before = codes(stage, &id)?.len() + 1;
    passes_again(stage, &id, before).await?;
    ensure!(
        stage.process("egress", "")? != old,
        "the killed broker answers"
    );
    stage.destroy(&id).await
}

const ASK_ON: &str = "while :; do sh /tmp/probe >> /tmp/codes; done";

fn codes(stage: &Stage, id: &str) -> Result<Vec<String>> {
    let text = stage.inside(id, "/tmp/codes")?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Waits for as many answers after the first `before`, and compares them.
async fn answers(stage: &Stage, id: &str, before: usize, want: &[&str]) -> Result<()> {
    let got = until("the sandbox asks on", async || {
        let codes = codes(stage, id)?;
        let new = codes.get(before..before + want.len());
        Ok(new.map(<[String]>::to_vec))
    });
    let got = got.await?;
    ensure!(got == want, "answers {got:?} instead of {want:?}");
    Ok(())
}

async fn passes_again(stage: &Stage, id: &str, before: usize) -> Result<()> {
    until("a request passes again", async || {
        let codes = codes(stage, id)?;
        let passed = codes.iter().skip(before).any(|code| code == "200");
        Ok(passed.then_some(()))
    })
    .await
}
