//! Connectors on their way: attach, swap, rotate, detach, echo.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use miosa_testkit::rig::REFERO_HOST;
use serde_json::Value;

use crate::support::{MANAGED, Stage};

/// A request that the provider answers with 200 when the credential is right.
const PROBE: &str = r#"-X POST https://api.refero.design/mcp -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' -d '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}'"#;

fn bearer(variable: &str) -> String {
    format!("-H \"Authorization: Bearer ${variable}\" {PROBE}")
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

pub async fn a_second_attach_to_a_variable_is_refused(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage
        .connector(
            "github",
            "second-attach",
            "ghp_0123456789abcdef0123456789abcdef0123",
        )
        .await?;
    stage.attach(&id, MANAGED, "SHARED_NAME").await?;
    let error = stage
        .refused(
            1,
            &[
                "sandbox",
                "connectors",
                "attach",
                &id,
                "github/second-attach",
                "--env",
                "SHARED_NAME",
                "--json",
            ],
        )
        .await?;
    ensure!(error["code"] == "ENV_NAME_TAKEN", "{error}");
    let list = stage
        .world
        .json(&["sandbox", "connectors", "list", &id, "--json"])
        .await?;
    ensure!(
        list.as_array().is_some_and(|list| list.len() == 1),
        "{list}"
    );
    Ok(())
}

pub async fn tokens_come_out_only_for_own_connectors(stage: Arc<Stage>) -> Result<()> {
    let value = "sk-own-0123456789abcdef";
    let made = stage.connector("openai", "own-token", value).await?;
    ensure!(
        !made.to_string().contains(value),
        "the answer repeats the secret"
    );
    let token = stage
        .world
        .json(&["connectors", "token", "openai/own-token", "--json"])
        .await?;
    ensure!(token["token"] == value, "not the token");
    let error = stage
        .refused(3, &["connectors", "token", MANAGED, "--json"])
        .await?;
    ensure!(error["code"] == "MANAGED_PROVIDER_BINDING_ONLY", "{error}");
    Ok(())
}

pub async fn rotation_keeps_the_placeholder(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage
        .connector("anthropic", "rotating", "sk-ant-api03-not-the-right-one")
        .await?;
    stage
        .attach(&id, "anthropic/rotating", "ANTHROPIC_API_KEY")
        .await?;
    let before = stage.shell(&id, "printf %s $ANTHROPIC_API_KEY").await?;
    let request = "-H \"x-api-key: $ANTHROPIC_API_KEY\" https://api.anthropic.com/v1/models";
    ensure!(
        stage.curl(&id, request).await?.0 == 401,
        "the wrong key was taken"
    );
    stage
        .world
        .json_with_stdin(
            &[
                "connectors",
                "rotate",
                "anthropic/rotating",
                "--stdin",
                "--json",
            ],
            &stage.rig.model_key,
        )
        .await?;
    let (status, body) = stage.curl(&id, request).await?;
    ensure!(status == 200, "{status} {body}");
    ensure!(
        stage.shell(&id, "printf %s $ANTHROPIC_API_KEY").await? == before,
        "the placeholder changed"
    );
    Ok(())
}

pub async fn detached_means_refused_at_once(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage.attach(&id, MANAGED, "REFERO_MCP_TOKEN").await?;
    let (status, body) = stage.curl(&id, &bearer("REFERO_MCP_TOKEN")).await?;
    ensure!(status == 200, "{status} {body}");
    stage
        .shell(&id, "printf %s $REFERO_MCP_TOKEN > /tmp/old")
        .await?;
    let output = stage
        .world
        .run(&["sandbox", "connectors", "detach", &id, MANAGED, "--json"])
        .await?;
    ensure!(output.status.success(), "detach failed");
    ensure!(
        stage
            .shell(&id, "printf %s \"$REFERO_MCP_TOKEN\"")
            .await?
            .is_empty(),
        "the variable is still there"
    );
    stage.attach(&id, MANAGED, "ANOTHER_NAME").await?;
    let (status, body) = stage
        .curl(
            &id,
            &format!("-H \"Authorization: Bearer $(cat /tmp/old)\" {PROBE}"),
        )
        .await?;
    ensure!(
        status == 403 && code(&body) == "EGRESS_PLACEHOLDER_UNKNOWN",
        "{status} {body}"
    );
    Ok(())
}

pub async fn anothers_placeholder_is_refused(stage: Arc<Stage>) -> Result<()> {
    let (mine, other) = (stage.sandbox(&[]).await?, stage.sandbox(&[]).await?);
    stage.attach(&mine, MANAGED, "REFERO_MCP_TOKEN").await?;
    stage.attach(&other, MANAGED, "REFERO_MCP_TOKEN").await?;
    let stolen = stage.shell(&mine, "printf %s $REFERO_MCP_TOKEN").await?;
    let seen = stage.rig.refero.log.all().len();
    let (status, body) = stage
        .curl(
            &other,
            &format!("-H 'Authorization: Bearer {stolen}' {PROBE}"),
        )
        .await?;
    ensure!(
        status == 403 && code(&body) == "EGRESS_PLACEHOLDER_UNKNOWN",
        "{status} {body}"
    );
    let later = stage.rig.refero.log.all();
    let reached = later[seen..].iter().any(|seen| {
        seen.headers
            .values()
            .any(|value| value.as_bytes().windows(10).any(|w| w == b"miosa-tok-"))
    });
    ensure!(!reached, "a placeholder reached {REFERO_HOST}");
    Ok(())
}

pub async fn an_echoed_credential_is_taken_out(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage
        .connector("anthropic", "echo", &stage.rig.model_key)
        .await?;
    stage
        .attach(&id, "anthropic/echo", "ANTHROPIC_API_KEY")
        .await?;
    let answer = stage.shell(&id, "curl -sS -D - -H \"x-api-key: $ANTHROPIC_API_KEY\" https://api.anthropic.com/v1/models/echo").await?;
    ensure!(
        !answer.contains(&stage.rig.model_key),
        "the credential came back"
    );
    let placeholder = stage.shell(&id, "printf %s $ANTHROPIC_API_KEY").await?;
    ensure!(
        answer.matches(&placeholder).count() >= 2,
        "not in header and body: {answer}"
    );
    let rows = stage
        .world
        .json(&["audit", "list", "--sandbox", &id, "--json"])
        .await?;
    let redacted = rows
        .as_array()
        .context("no rows")?
        .iter()
        .any(|row| row["redacted"] == true);
    ensure!(redacted, "the audit does not say so: {rows}");
    Ok(())
}
