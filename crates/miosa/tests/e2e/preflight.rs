//! The preflight: what it proves when all is well, and what it says when not.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::support::{MANAGED, Stage};

fn code_of(steps: &Value, name: &str) -> String {
    let all = steps.as_array().into_iter().flatten();
    let step = all.into_iter().find(|step| step["name"] == name);
    step.map_or_else(String::new, |step| {
        step["code"].as_str().unwrap_or_default().to_owned()
    })
}

pub async fn preflight_proves_what_it_says(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage.attach(&id, MANAGED, "REFERO_MCP_TOKEN").await?;
    let preflight = [
        "sandbox",
        "connectors",
        "preflight",
        &id,
        "--provider",
        "claude",
        "--json",
    ];
    let passed = stage.world.json(&preflight).await?;
    let steps = &passed["steps"];
    for name in [
        "bound",
        "cwd",
        "clock",
        "environment",
        "probe",
        "wrong_path",
        "wrong_method",
        "spoofed_host",
        "other_host",
        "plain_http",
        "real_value",
    ] {
        ensure!(code_of(steps, name) == "OK", "{name}: {passed}");
    }
    // On a busy machine a slow program may not have told; none may have failed.
    let trust = steps.to_string();
    ensure!(
        ["OK", "NOT_TRIED"].contains(&code_of(steps, "trust").as_str())
            && trust.contains("trusted by curl"),
        "{passed}"
    );

    // A file of no certificate: Node says so and goes on without.
    let broken = [
        "sandbox",
        "env",
        "set",
        &id,
        "NODE_EXTRA_CA_CERTS=/nowhere.pem",
        "--json",
    ];
    stage.world.json(&broken).await?;
    let error = stage.refused(1, &preflight).await?;
    let said = error.to_string();
    ensure!(
        code_of(&error["details"]["steps"], "trust") == "TRUST_MISSING"
            && said.contains("not trusted by node")
            && said.contains("for `node` NODE_EXTRA_CA_CERTS"),
        "{error}"
    );
    stage
        .world
        .json(&[
            "sandbox",
            "env",
            "unset",
            &id,
            "NODE_EXTRA_CA_CERTS",
            "--json",
        ])
        .await?;

    stage
        .shell(
            &id,
            "mkdir -p ~/.claude && echo '{' >~/.claude/settings.json",
        )
        .await?;
    let error = stage.refused(1, &preflight).await?;
    ensure!(
        code_of(&error["details"]["steps"], "agent_config") == "AGENT_CONFIG_INVALID",
        "{error}"
    );
    Ok(())
}

pub async fn preflight_finds_a_real_value(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    let value = "rfr_own_value_that_somebody_pasted_0123456789";
    stage.connector("anthropic", "pasted", value).await?;
    stage
        .attach(&id, "anthropic/pasted", "ANTHROPIC_API_KEY")
        .await?;
    stage
        .shell(
            &id,
            &format!("printf %s {value} | base64 -w0 >/workspace/notes.txt"),
        )
        .await?;
    let preflight = ["sandbox", "connectors", "preflight", &id, "--json"];
    let error = stage.refused(1, &preflight).await?;
    let steps = &error["details"]["steps"];
    ensure!(
        code_of(steps, "real_value") == "REAL_VALUE_FOUND",
        "{error}"
    );
    ensure!(!error.to_string().contains(value), "the value is named");
    ensure!(error.to_string().contains("anthropic/pasted"), "{error}");
    Ok(())
}

pub async fn preflight_says_what_is_missing(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    let prompt = [
        "sandbox",
        "prompt",
        &id,
        "--provider",
        "claude",
        "--connector",
        MANAGED,
        "--preflight",
        "--json",
        "--",
        "hello",
    ];
    let error = stage.refused(1, &prompt).await?;
    ensure!(
        error["code"] == "CONNECTOR_NOT_BOUND" && error["hint"].is_string(),
        "{error}"
    );
    stage
        .connector(
            "anthropic",
            "revoked",
            "sk-ant-api03-revoked-by-the-provider",
        )
        .await?;
    stage
        .attach(&id, "anthropic/revoked", "ANTHROPIC_API_KEY")
        .await?;
    let prompt = [
        "sandbox",
        "prompt",
        &id,
        "--provider",
        "claude",
        "--connector",
        "anthropic/revoked",
        "--preflight",
        "--json",
        "--",
        "hello",
    ];
    let error = stage.refused(1, &prompt).await?;
    ensure!(
        error["code"] == "PREFLIGHT_FAILED" && error.to_string().contains("401"),
        "{error}"
    );
    ensure!(
        code_of(&error["details"]["steps"], "probe") == "CREDENTIAL_REJECTED",
        "{error}"
    );
    let runs = stage.world.json(&["runs", "list", "--json"]).await?;
    let started = runs
        .as_array()
        .into_iter()
        .flatten()
        .any(|run| run["target_id"] == id.as_str());
    ensure!(!started, "a run was started all the same");
    Ok(())
}
