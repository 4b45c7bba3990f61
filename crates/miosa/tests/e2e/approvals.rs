//! A rule that asks a person: the call of a real client waits, and goes out or not as that person says.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::mcp::{CLIENT, put_client};
use crate::support::{MANAGED, Stage};

/// How long a question may take to be there, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn a_person_is_asked_and_the_agent_is_told_what_was_said(
    stage: Arc<Stage>,
) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    let attach = [
        "sandbox",
        "connectors",
        "attach",
        &id,
        MANAGED,
        "--env",
        "REFERO_MCP_TOKEN",
        "--ask-tool",
        "echo",
        "--json",
    ];
    stage.world.json(&attach).await?;
    put_client(&stage, &id, include_str!("mcp/asking.mjs")).await?;
    let answering = async {
        let first = waiting(&stage, &id, "first").await?;
        answer(&stage, &["approve", &first]).await?;
        let second = waiting(&stage, &id, "second").await?;
        answer(&stage, &["deny", &second, "--reason", "not today"]).await?;
        let late = ["approvals", "approve", &second, "--json"];
        ensure!(stage.refused(1, &late).await?["code"] == "RESOURCE_STATE");
        anyhow::Ok([first, second])
    };
    let (said, ids) = tokio::join!(stage.shell(&id, CLIENT), answering);
    let (said, [first, second]) = (said?, ids?);
    let seen: Value = serde_json::from_str(&said)?;
    ensure!(seen["first"] == "Echo: first", "{seen}");
    ensure!(
        seen["free"].as_str().is_some_and(|text| text.contains('3')),
        "{seen}"
    );
    let refusal = seen["second"].as_str().unwrap_or_default();
    for part in ["EGRESS_APPROVAL_DENIED", "said no", "not today", &second] {
        ensure!(
            refusal.contains(part),
            "the agent is not told {part}: {refusal}"
        );
    }
    is_in_the_audit(&stage, &id, &first, &second).await
}

/// The id of the one question that waits; what is shown of it is the call itself.
async fn waiting(stage: &Stage, sandbox: &str, message: &str) -> Result<String> {
    let list = [
        "approvals",
        "list",
        "--status",
        "pending",
        "--sandbox",
        sandbox,
        "--json",
    ];
    let looking = async {
        loop {
            let listed = stage.world.json(&list).await?;
            if let Some(one) = listed.as_array().and_then(|all| all.first()) {
                ensure!(
                    one["waiting"] == true && one["connector"] == MANAGED,
                    "{one}"
                );
                let call = &one["calls"][0];
                ensure!(
                    call["method"] == "tools/call" && call["name"] == "echo",
                    "{one}"
                );
                let arguments = call["arguments"].as_str().unwrap_or_default();
                ensure!(arguments.contains(message), "{one}");
                return Ok(one["id"].as_str().context("no id")?.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .with_context(|| format!("nobody asks about {message}"))?
}

async fn answer(stage: &Stage, verb: &[&str]) -> Result<()> {
    let mut arguments = vec!["approvals"];
    arguments.extend(verb);
    arguments.push("--json");
    stage.world.json(&arguments).await.map(drop)
}

async fn is_in_the_audit(stage: &Stage, id: &str, first: &str, second: &str) -> Result<()> {
    let list = ["audit", "list", "--sandbox", id, "--json"];
    let looking = async {
        loop {
            let events = stage.world.json(&list).await?;
            let has = |action: &str, rule: String| {
                let mut all = events.as_array().into_iter().flatten();
                all.any(|event| {
                    let text = event["rule_id"].as_str().unwrap_or_default();
                    event["action"] == action && text.starts_with(&rule)
                })
            };
            if has("allow", format!("approval:{first} approved by "))
                && has("reject", format!("approval:{second} denied by "))
            {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .context("the audit does not name the decisions")?
}
