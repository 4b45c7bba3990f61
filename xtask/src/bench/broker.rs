//! Through the broker: requests a second with the credential put in, and a gibibyte.

use anyhow::{Context as _, Result, ensure};
use miosa_testkit::rig::Rig;
use miosa_testkit::world::World;
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

use super::peers::{BIG_BYTES, BOUND_HOST, Nginx, TUNNEL_HOST};
use super::{Api, Row};

const CONNECTIONS: &str = "-t1 -c16 -d8s --latency";

/// Measures miosa's interception and tunnel, and nginx in the broker's place.
pub async fn measure(world: &World, api: &Api, rig: &Rig, nginx: &Nginx) -> Result<Vec<Row>> {
    let policy = json!({"mode": "allow-all", "allowed_domains": [TUNNEL_HOST]});
    let made = api
        .call(
            Method::POST,
            "/sandboxes?wait=true",
            Some(json!({"metadata": {"network_policy": policy}})),
        )
        .await?;
    let id = made["id"].as_str().context("no id")?.to_owned();
    world
        .json_with_stdin(
            &[
                "connectors",
                "create",
                "openai",
                "--name",
                "bench",
                "--stdin",
                "--json",
            ],
            &rig.model_key,
        )
        .await?;
    world
        .json(&[
            "sandbox",
            "connectors",
            "attach",
            &id,
            "openai/bench",
            "--env",
            "OPENAI_API_KEY",
            "--json",
        ])
        .await?;
    let placeholder = world.exec(&id, "printf %s $OPENAI_API_KEY").await?;
    let placeholder = placeholder["stdout"].as_str().context("no placeholder")?;
    let inside = format!("nsenter --net=/proc/{}/ns/net", init_pid(world, &id)?);
    let header = format!("-H 'Authorization: Bearer {placeholder}'");
    let own = wrk(&format!(
        "{inside} wrk {CONNECTIONS} {header} https://{BOUND_HOST}/v1/models"
    ))
    .await?;
    let peer = wrk(&format!(
        "wrk {CONNECTIONS} {header} https://127.0.0.1:{}/v1/models",
        nginx.proxy
    ))
    .await?;
    let mut rows = requests(&own, &peer);
    let download = |prefix: &str, url: &str| {
        format!("{prefix} curl -skf {header} -o /dev/null -w '%{{speed_download}}' {url}")
    };
    let intercepted = speed(&download(
        &inside,
        &format!("https://{BOUND_HOST}/v1/models/big"),
    ))
    .await;
    let tunnelled = speed(&download(
        &inside,
        &format!("https://{TUNNEL_HOST}/v1/models/big"),
    ))
    .await?;
    let proxied = speed(&download(
        "",
        &format!("https://127.0.0.1:{}/v1/models/big", nginx.proxy),
    ))
    .await?;
    let what = format!("{} MiB down", BIG_BYTES >> 20);
    rows.push(bytes(&format!("{what}, tunnel"), "miosa", tunnelled, None));
    rows.push(bytes(
        &format!("{what}, tunnel"),
        "nginx proxy",
        proxied,
        Some(tunnelled),
    ));
    if let Ok(intercepted) = intercepted {
        rows.push(bytes(
            &format!("{what}, intercepted and searched"),
            "miosa",
            intercepted,
            None,
        ));
        rows.push(bytes(
            &format!("{what}, intercepted and searched"),
            "nginx proxy",
            proxied,
            Some(intercepted),
        ));
    }
    Ok(rows)
}

/// Process id of the guest agent, by the sandbox's state file.
fn init_pid(world: &World, id: &str) -> Result<i64> {
    let state = fs_err::read_to_string(
        world
            .folder()
            .join("run/sandboxes")
            .join(id)
            .join("state.json"),
    )?;
    let state: serde_json::Value = serde_json::from_str(&state)?;
    state["init_pid"]
        .as_i64()
        .or_else(|| state["init"]["pid"].as_i64())
        .context("no pid in state.json")
}

struct Load {
    per_second: f64,
    median_ms: f64,
    p99_ms: f64,
}

async fn wrk(line: &str) -> Result<Load> {
    let output = Command::new("sh").args(["-c", line]).output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && !text.contains("Non-2xx"),
        "`{line}`: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(name))
            .map(str::trim)
            .map(str::to_owned)
    };
    Ok(Load {
        per_second: field("Requests/sec:")
            .and_then(|text| text.parse().ok())
            .context("no rate")?,
        median_ms: field("50%")
            .and_then(|text| milliseconds(&text))
            .context("no median")?,
        p99_ms: field("99%")
            .and_then(|text| milliseconds(&text))
            .context("no p99")?,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    units.iter().find_map(|(unit, factor)| {
        text.strip_suffix(unit)?
            .parse::<f64>()
            .ok()
            .map(|number| number * factor)
    })
}

fn requests(own: &Load, peer: &Load) -> Vec<Row> {
    let what = "requests through interception, 16 connections";
    let row = |who: &str, load: &Load, ratio| Row {
        what: what.to_owned(),
        who: who.to_owned(),
        value: load.per_second,
        unit: "req/s",
        high: None,
        ratio,
    };
    let latency = |who: &str, load: &Load, ratio| Row {
        what: format!("{what}: latency, p99"),
        who: who.to_owned(),
        value: load.median_ms,
        unit: "ms",
        high: Some(load.p99_ms),
        ratio,
    };
    vec![
        row("miosa", own, None),
        row("nginx proxy", peer, Some(own.per_second / peer.per_second)),
        latency("miosa", own, None),
        latency("nginx proxy", peer, Some(own.p99_ms / peer.p99_ms)),
    ]
}

async fn speed(line: &str) -> Result<f64> {
    let output = Command::new("sh").args(["-c", line]).output().await?;
    ensure!(
        output.status.success(),
        "`{line}`: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse::<f64>()?
        / f64::from(1 << 20))
}

fn bytes(what: &str, who: &str, value: f64, own: Option<f64>) -> Row {
    Row {
        what: what.to_owned(),
        who: who.to_owned(),
        value,
        unit: "MiB/s",
        high: None,
        ratio: own.map(|own| own / value),
    }
}
