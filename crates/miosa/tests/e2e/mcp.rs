//! Rules on MCP tools, with the official client inside and a real server behind the broker.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::support::{MANAGED, Stage};

const FOLDER: &str = "/opt/mcp";

/// Runs what [`put_client`] put there.
pub const CLIENT: &str = "cd /opt/mcp && timeout 90 node client.mjs";

/// Puts a program over the official client into a sandbox.
pub async fn put_client(stage: &Stage, id: &str, program: &str) -> Result<()> {
    let libraries = stage.rig.mcp.libraries.display().to_string();
    let inside = format!("{FOLDER}/node_modules");
    let sync = [
        "sandbox",
        "sync",
        &libraries,
        &inside,
        "--sandbox",
        id,
        "--json",
    ];
    stage.world.json(&sync).await?;
    let local = stage.world.folder().join(format!("client-{id}.mjs"));
    fs_err::write(&local, program)?;
    let (local, inside) = (local.display().to_string(), format!("{FOLDER}/client.mjs"));
    let write = ["sandbox", "write-file", id, &inside, &local, "--json"];
    stage.world.json(&write).await?;
    Ok(())
}

pub async fn a_real_client_is_told_why_and_goes_on(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    let attach = [
        "sandbox",
        "connectors",
        "attach",
        &id,
        MANAGED,
        "--env",
        "REFERO_MCP_TOKEN",
        "--allow-tool",
        "echo",
        "--json",
    ];
    stage.world.json(&attach).await?;
    put_client(&stage, &id, include_str!("mcp/client.mjs")).await?;
    let said = stage.shell(&id, CLIENT).await?;
    let seen: Value = serde_json::from_str(&said)?;
    ensure!(seen["tools"] == serde_json::json!(["echo"]), "{seen}");
    ensure!(
        seen["said"]
            .as_str()
            .is_some_and(|text| text.contains("hello")),
        "{seen}"
    );
    let refusal = seen["refusal"].as_str().unwrap_or_default();
    for part in [
        "EGRESS_MCP_NOT_ALLOWED",
        "mcp:allow.tools",
        "tool echo",
        "--allow-tool",
    ] {
        ensure!(
            refusal.contains(part),
            "the agent is not told {part}: {refusal}"
        );
    }
    is_in_the_audit(&stage, &id).await?;
    its_owner_sees_all_tools(&stage, &id).await
}

async fn is_in_the_audit(stage: &Stage, id: &str) -> Result<()> {
    let events = stage
        .world
        .json(&["audit", "list", "--sandbox", id, "--json"])
        .await?;
    let of = |name: &str| {
        let all = events.as_array().into_iter().flatten();
        all.filter(|event| event["mcp_method"] == "tools/call" && event["mcp_name"] == name)
            .map(|event| event["action"].clone())
            .collect::<Vec<_>>()
    };
    ensure!(
        of("echo") == ["allow"] && of("get-sum") == ["reject"],
        "{events}"
    );
    Ok(())
}

async fn its_owner_sees_all_tools(stage: &Stage, id: &str) -> Result<()> {
    let tools = stage
        .world
        .json(&["sandbox", "mcp", "tools", id, "--json"])
        .await?;
    let allowed = |name: &str| {
        let mut all = tools.as_array().into_iter().flatten();
        all.find(|tool| tool["name"] == name)
            .map(|tool| tool["allowed"].clone())
    };
    ensure!(allowed("echo") == Some(true.into()), "{tools}");
    ensure!(allowed("get-sum") == Some(false.into()), "{tools}");
    Ok(())
}
