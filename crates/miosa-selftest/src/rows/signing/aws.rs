//! Rows 154 to 157: AWS keys that a sandbox signs with and does not have.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::stand::S3;
use crate::trial::Trial;

const UID: &str = "aws/selftest";
const VARIABLE: &str = "AWS_ACCESS_KEY_ID";

/// Attaches the keys, which no other row has, and runs a function of the section's program.
async fn with_keys(trial: &mut Trial<'_>, function: &str) -> Result<Value> {
    let first = trial.lab.first.clone();
    trial.lab.attach(&first, UID, VARIABLE).await?;
    trial.inside(function, Value::Null).await
}

pub async fn row_154(trial: &mut Trial<'_>) -> Result<()> {
    with_keys(trial, "aws_154").await.map(drop)
}

pub async fn row_155(trial: &mut Trial<'_>) -> Result<()> {
    with_keys(trial, "aws_155").await.map(drop)
}

pub async fn row_156(trial: &mut Trial<'_>) -> Result<()> {
    let target = with_keys(trial, "aws_156").await?;
    let target = target.as_str().context("no address")?.to_owned();
    let ca = trial.lab.world.folder().join("local-providers.pem");
    let answer = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--include"])
        .args(["--connect-to", &format!("{S3}:443:{}", trial.lab.stand.s3)])
        .arg("--cacert")
        .arg(ca)
        .arg(format!("https://{S3}{target}"))
        .output()
        .await?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let is_refused = text.contains(" 403 ") && text.contains("nobody has this key id");
    let seen = format!("{text}{}", String::from_utf8_lossy(&answer.stderr));
    let name = "handed to somebody outside, who asks the provider";
    trial.check(name, "403 of the provider", is_refused, seen);
    let second = trial.lab.second.clone();
    trial.lab.attach(&second, UID, VARIABLE).await?;
    trial
        .inside_of(&second, "aws_156_elsewhere", json!(target))
        .await
        .map(drop)
}

pub async fn row_157(trial: &mut Trial<'_>) -> Result<()> {
    with_keys(trial, "aws_157").await.map(drop)
}
