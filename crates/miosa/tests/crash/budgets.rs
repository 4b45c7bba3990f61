//! Budgets of a managed connector: what a sandbox is told, what its owner sees, and that a killed broker gives no
//! budget anew. Last, the token is revoked.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::host::kill;
use crate::support::{MANAGED, PROBE, Stage, VARIABLE, until};

pub async fn hold_over_a_killed_broker(stage: &mut Stage) -> Result<()> {
    // Before there is a budget, nothing is counted.
    let id = stage.connected().await?;
    set(stage, &["--sandbox-per-day", "2", "--tenant-per-day", "3"]).await?;
    codes(stage, &id, &["200", "200", "429"]).await?;
    says_why(stage, &id, "this sandbox", "2 requests a day").await?;

    let other = stage.connected().await?;
    codes(stage, &other, &["429"]).await?;
    says_why(stage, &other, "this tenant", "3 requests a day").await?;
    is_shown(stage, &id).await?;

    let kept = stage
        .world
        .folder()
        .join(".miosa/data/audit/egress.jsonl.budgets");
    until("the counts are kept", async || {
        let text = fs_err::read_to_string(&kept).unwrap_or_default();
        Ok(text.contains("\"in_day\":3").then_some(()))
    })
    .await?;
    kill(stage.process("egress", "")?)?;
    let first = until("a broker answers again", async || {
        let code = stage.shell(&id, &format!("{PROBE} || true")).await?;
        Ok((code != "000").then_some(code))
    });
    let first = first.await?;
    ensure!(first == "429", "the budget began anew: {first}");

    set(stage, &["--sandbox-per-day", "100"]).await?;
    codes(stage, &id, &["200"]).await?;
    runs_out_by_the_minute(stage, &id).await?;
    is_revoked(stage, &id).await?;
    stage.destroy(&id).await?;
    stage.destroy(&other).await
}

/// The probe, for a broker that is there: it may be slow on a machine that does much else.
fn patient() -> String {
    PROBE.replace("--max-time 2", "--max-time 30")
}

async fn set(stage: &Stage, limits: &[&str]) -> Result<Value> {
    let mut arguments = vec!["admin", "connectors", "budget", MANAGED, "--json"];
    arguments.extend(limits);
    stage.world.json(&arguments).await
}

/// One request after the other, and their statuses.
async fn codes(stage: &Stage, id: &str, expected: &[&str]) -> Result<()> {
    for (number, expected) in expected.iter().enumerate() {
        let code = stage.shell(id, &patient()).await?;
        ensure!(code == *expected, "request {number}: {code}");
    }
    Ok(())
}

/// The refusal has a code, when to come again, and words an agent can act on.
async fn says_why(stage: &Stage, id: &str, whose: &str, limit: &str) -> Result<()> {
    let probe = patient().replace("-o /dev/null -w '%{http_code}\\n'", "-i");
    let text = stage.shell(id, &probe).await?;
    let (head, body) = text.split_once("\r\n\r\n").context("no answer")?;
    let head = head.to_ascii_lowercase();
    let after = head
        .lines()
        .find_map(|line| line.strip_prefix("retry-after: "))
        .with_context(|| format!("no retry-after: {head}"))?;
    let after: u64 = after.trim().parse()?;
    ensure!((1..=24 * 3600).contains(&after), "retry after {after}");
    let body: Value = serde_json::from_str(body)?;
    let error = &body["error"];
    ensure!(error["code"] == "EGRESS_BUDGET_SPENT", "{body}");
    let words = format!("{} {}", error["message"], error["hint"]);
    for part in [whose, limit, MANAGED, "Wait ", "operator"] {
        ensure!(words.contains(part), "no `{part}`: {words}");
    }
    Ok(())
}

/// Limits and use are shown, and in the audit are the refusals; the token is in neither.
async fn is_shown(stage: &Stage, id: &str) -> Result<()> {
    let shown = stage
        .world
        .json(&["connectors", "show", MANAGED, "--json"])
        .await?;
    ensure!(shown["budget"]["per_sandbox"]["per_day"] == 2, "{shown}");
    ensure!(shown["budget_used"]["tenant"]["today"] == 3, "{shown}");
    ensure!(
        shown["budget_used"]["sandboxes"][id]["today"] == 2,
        "{shown}"
    );
    let people = stage.world.run(&["connectors", "show", MANAGED]).await?;
    let people = String::from_utf8_lossy(&people.stdout).into_owned();
    ensure!(
        people.contains("2 requests a day") && people.contains("3 today"),
        "{people}"
    );
    let list = [
        "audit",
        "list",
        "--sandbox",
        id,
        "--action",
        "reject",
        "--json",
    ];
    let refused = until("the refusals are in the audit", async || {
        let events = stage.world.json(&list).await?;
        let mut all = events.as_array().into_iter().flatten();
        Ok(all
            .any(|event| event["code"] == "EGRESS_BUDGET_SPENT")
            .then_some(events.to_string()))
    });
    let refused = refused.await?;
    for text in [shown.to_string(), people, refused] {
        ensure!(
            !text.contains(&stage.rig.refero_token),
            "the token is shown: {text}"
        );
    }
    Ok(())
}

/// A minute of the clock may end in between, once.
async fn runs_out_by_the_minute(stage: &Stage, id: &str) -> Result<()> {
    set(stage, &["--sandbox-per-minute", "1"]).await?;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(stage.shell(id, &patient()).await?);
    }
    ensure!(seen.iter().any(|code| code == "429"), "{seen:?}");
    Ok(())
}

async fn is_revoked(stage: &Stage, id: &str) -> Result<()> {
    let gone = stage
        .world
        .json(&["admin", "connectors", "revoke", MANAGED, "--json"])
        .await?;
    ensure!(gone["status"] == "not_configured", "{gone}");
    // Without a binding the host is a host as any other: the placeholder gets there as it is, and means nothing.
    let code = stage
        .shell(id, &format!("{} -k || true", patient()))
        .await?;
    ensure!(code == "401", "the token still works: {code}");
    let attach = [
        "sandbox",
        "connectors",
        "attach",
        id,
        MANAGED,
        "--env",
        VARIABLE,
        "--json",
    ];
    let refused = stage.world.run(&attach).await?;
    let refused: Value = serde_json::from_slice(&refused.stdout)?;
    ensure!(
        refused["error"]["code"] == "MANAGED_CONNECTOR_NOT_CONFIGURED",
        "{refused}"
    );
    let again = ["admin", "connectors", "set", MANAGED, "--stdin", "--json"];
    let again = stage
        .world
        .json_with_stdin(&again, &stage.rig.refero_token)
        .await?;
    ensure!(
        again["version"].as_i64() > gone["version"].as_i64(),
        "{again}"
    );
    ensure!(again["budget"]["per_sandbox"]["per_minute"] == 1, "{again}");
    set(stage, &["--unlimited"]).await?;
    stage.world.json(&attach).await?;
    codes(stage, id, &["200", "200"]).await
}
