//! Network policies on a running sandbox: in force at once, on open connections too; what is said of a
//! request is what becomes of it.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::support::Stage;

/// A process that asks the same connection again and again, each time it is told to.
const HOLD: &str = r#"mkfifo /tmp/go-$H /tmp/said-$H; nohup python3 - >/dev/null 2>&1 <<E &
import http.client, ssl
c = http.client.HTTPSConnection("$H", context=ssl._create_unverified_context(), timeout=20)
c.connect(); c.auto_open = 0
while open("/tmp/go-$H").read():
    try:
        c.request("GET", "/"); r = c.getresponse(); r.read(); said = str(r.status)
    except Exception as e: said = type(e).__name__
    open("/tmp/said-$H", "w").write(said)
E"#;

async fn hold(stage: &Stage, id: &str, host: &str) -> Result<()> {
    stage.shell(id, &format!("H={host}; {HOLD}")).await?;
    let first = ask(stage, id, host).await?;
    ensure!(first == "200", "{host} before anything: {first}");
    Ok(())
}

async fn ask(stage: &Stage, id: &str, host: &str) -> Result<String> {
    stage
        .shell(
            id,
            &format!("echo x > /tmp/go-{host}; cat /tmp/said-{host}"),
        )
        .await
}

async fn network(stage: &Stage, verb: &str, id: &str, more: &[&str]) -> Result<Value> {
    let mut arguments = vec!["sandbox", "network", verb, id, "--json"];
    arguments.extend(more);
    stage.world.json(&arguments).await
}

fn field<'a>(body: &'a Value, name: &str) -> &'a str {
    body["error"][name].as_str().unwrap_or_default()
}

pub async fn a_change_holds_at_once_and_on_open_connections(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    let (tunnelled, looked_into) = ("api.anthropic.com", "api.openai.com");
    let get = format!("-k https://{tunnelled}/");
    hold(&stage, &id, tunnelled).await?;
    let rule = network(&stage, "deny", &id, &[tunnelled]).await?;
    let after = ask(&stage, &id, tunnelled).await?;
    ensure!(after != "200", "the tunnel went on after the deny");
    let (status, body) = stage.curl(&id, &get).await?;
    ensure!(
        status == 403
            && field(&body, "code") == "EGRESS_HOST_DENIED"
            && body["error"]["rule"] == rule["id"],
        "{status} {body}, {rule}"
    );
    network(&stage, "remove", &id, &[tunnelled]).await?;
    let (status, body) = stage.curl(&id, &get).await?;
    ensure!(status == 200, "after the deny was removed: {status} {body}");

    network(&stage, "lockdown", &id, &[]).await?;
    let (status, body) = stage.curl(&id, &get).await?;
    ensure!(
        status == 403
            && field(&body, "code") == "EGRESS_HOST_NOT_ALLOWED"
            && field(&body, "rule") == "mode:enforce"
            && body["error"]["allowed"]
                .as_array()
                .is_some_and(|a| !a.is_empty()),
        "{status} {body}"
    );
    // The refusal says how to ask, and that works as it stands.
    let command = field(&body, "hint")
        .split('`')
        .nth(1)
        .context("no command")?;
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let asked = stage.world.run(&words).await?;
    ensure!(asked.status.success(), "`{command}`: {asked:?}");
    let (status, body) = stage.curl(&id, &get).await?;
    ensure!(status == 200, "after `{command}`: {status} {body}");

    network(&stage, "allow", &id, &[looked_into, "--method", "GET"]).await?;
    hold(&stage, &id, looked_into).await?;
    network(&stage, "deny", &id, &[looked_into, "--path", "/"]).await?;
    let after = ask(&stage, &id, looked_into).await?;
    ensure!(
        after == "403",
        "the same connection after the deny: {after}"
    );
    network(&stage, "observe", &id, &[]).await?;
    let (status, body) = stage
        .curl(&id, "-k https://collector.attacker.example/")
        .await?;
    ensure!(status == 200, "observed: {status} {body}");
    let shown = network(&stage, "show", &id, &[]).await?;
    ensure!(shown["mode"] == "audit_only", "{shown}");
    Ok(())
}

pub async fn what_was_refused_is_pending_until_it_is_decided(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&["--network-policy", "deny-all"]).await?;
    let host = "wanted.example";
    for _ in 0..2 {
        let (status, _) = stage.curl(&id, &format!("https://{host}/")).await?;
        ensure!(status == 403, "{status}");
    }
    let pending = network(&stage, "pending", &id, &[]).await?;
    ensure!(
        pending[0]["host"] == host && pending[0]["refused"].as_u64() >= Some(2),
        "{pending}"
    );
    let suggested = network(&stage, "suggestions", &id, &["--since", "1h"]).await?;
    ensure!(suggested[0]["rule"]["host"] == host, "{suggested}");
    network(&stage, "allow", &id, &[host]).await?;
    let pending = network(&stage, "pending", &id, &[]).await?;
    ensure!(pending == serde_json::json!([]), "{pending}");

    let export = ["audit", "export", "--sandbox", &id, "--format", "csv"];
    let csv = stage.world.run(&export).await?;
    let csv = String::from_utf8_lossy(&csv.stdout).into_owned();
    // The requests, and the first look-up of the name.
    ensure!(csv.matches("EGRESS_HOST_NOT_ALLOWED").count() >= 2, "{csv}");
    let tail = ["audit", "tail", "--sandbox", &id, "-n", "1", "--json"];
    let last = stage.world.json(&tail).await?;
    ensure!(last["host"] == host, "{last}");
    Ok(())
}

/// Method, address, and what curl adds to the request that is asked about.
const REQUESTS: [(&str, &str, &str); 12] = [
    (
        "GET",
        "https://api.anthropic.com/v1/models",
        "-H \"x-api-key: $ANTHROPIC_API_KEY\"",
    ),
    ("GET", "https://api.anthropic.com/elsewhere", ""),
    (
        "GET",
        "https://api.anthropic.com/v1/../v1/models",
        "--path-as-is",
    ),
    ("GET", "https://api.anthropic.com/v1%2fmodels", ""),
    ("TRACE", "https://api.anthropic.com/", ""),
    ("GET", "https://api.openai.com/", ""),
    ("POST", "https://api.openai.com/", ""),
    ("GET", "https://collector.attacker.example/", ""),
    ("GET", "http://collector.attacker.example/", ""),
    ("GET", "https://api.refero.design/mcp", ""),
    ("GET", "https://192.0.2.10/", ""),
    ("GET", "https://169.254.169.254/latest/meta-data/", ""),
];

pub async fn why_agrees_with_what_happens(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&["--network-policy", "deny-all"]).await?;
    stage
        .connector("anthropic", "why", &stage.rig.model_key)
        .await?;
    stage
        .attach(&id, "anthropic/why", "ANTHROPIC_API_KEY")
        .await?;
    network(&stage, "allow", &id, &["api.openai.com", "--method", "GET"]).await?;
    network(&stage, "allow", &id, &["*.attacker.example"]).await?;
    network(&stage, "deny", &id, &["api.refero.design"]).await?;
    network(&stage, "allow", &id, &["169.254.0.0/16"]).await?;
    let (mut passed, mut refused) = (0, 0);
    for (method, url, more) in REQUESTS {
        let ask = ["sandbox", "why", &id, url, "--method", method, "--json"];
        let said = stage.world.json(&ask).await?;
        let request = format!("-k -X {method} {more} '{url}'");
        let (status, body) = stage.curl(&id, &request).await?;
        let code = field(&body, "code");
        let happened = code.starts_with("EGRESS_").then_some(code);
        ensure!(
            said["code"].as_str() == happened && (said["decision"] == "deny") == happened.is_some(),
            "{method} {url}: said {said}, got {status} {body}"
        );
        match happened {
            Some(_) => {
                ensure!(said["rule"] == body["error"]["rule"], "{said} {body}");
                ensure!(said["hint"] == body["error"]["hint"], "{said} {body}");
                refused += 1;
            }
            None => passed += 1,
        }
    }
    ensure!(
        passed >= 4 && refused >= 6,
        "{passed} passed, {refused} refused"
    );
    let said = [
        "sandbox",
        "why",
        &id,
        "https://api.anthropic.com/v1/models",
        "--json",
    ];
    let said = stage.world.json(&said).await?;
    ensure!(said["binding"]["env_name"] == "ANTHROPIC_API_KEY", "{said}");
    let output = stage.world.run(&["sandbox", "stop", &id]).await?;
    ensure!(output.status.success(), "stop: {output:?}");
    let stopped = ["sandbox", "why", &id, "https://wanted.example/", "--json"];
    let said = stage.world.json(&stopped).await?;
    ensure!(
        said["rule"] == "mode:enforce",
        "of a stopped sandbox: {said}"
    );
    Ok(())
}
