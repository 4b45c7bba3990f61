//! Through the broker, beside nginx and mitmproxy in its place: one run, one provider, rounds that alternate.

use std::path::Path;

use anyhow::{Context as _, Result};
use miosa_testkit::rig::Rig;
use miosa_testkit::world::World;
use reqwest::Method;
use serde_json::json;

use super::mitmproxy::Mitmproxy;
use super::peers::{Nginx, TUNNEL_HOST};
use super::process::Process;
use super::side::Side;
use super::{Api, Row, idle, load, stream};

/// Memory of idle connections, requests a second, texts down.
pub async fn measure(world: &World, api: &Api, rig: &Rig, nginx: &Nginx) -> Result<Vec<Row>> {
    let mitmproxy = Mitmproxy::start(world.folder(), nginx.provider).await?;
    let mut sides = vec![sandbox(world, api, rig).await?, nginx.side()?];
    let mut rows = idle::measure(&sides).await?;
    rows.extend(stream::measure(&sides[0], &sides[1]).await?);
    sides.push(mitmproxy.side()?);
    rows.extend(load::measure(&sides).await?);
    Ok(rows)
}

/// A sandbox with a binding for the provider.
async fn sandbox(world: &World, api: &Api, rig: &Rig) -> Result<Side> {
    let policy = json!({"mode": "allow-all", "allowed_domains": [TUNNEL_HOST]});
    let asked = json!({"metadata": {"network_policy": policy}});
    let made = api
        .call(Method::POST, "/sandboxes?wait=true", Some(asked))
        .await?;
    let id = made["id"].as_str().context("no id")?.to_owned();
    let create = [
        "connectors",
        "create",
        "openai",
        "--name",
        "bench",
        "--stdin",
        "--json",
    ];
    world.json_with_stdin(&create, &rig.model_key).await?;
    let attach = [
        "sandbox",
        "connectors",
        "attach",
        &id,
        "openai/bench",
        "--env",
        "OPENAI_API_KEY",
        "--json",
    ];
    world.json(&attach).await?;
    let placeholder = world.exec(&id, "printf %s $OPENAI_API_KEY").await?;
    let placeholder = placeholder["stdout"].as_str().context("no placeholder")?;
    let init = init_pid(world.folder(), &id)?;
    Ok(Side::miosa(
        init,
        placeholder,
        Process::broker(world.folder())?,
    ))
}

/// Process id of the guest agent, by the sandbox's state file.
fn init_pid(folder: &Path, id: &str) -> Result<i64> {
    let state = folder.join("run/sandboxes").join(id).join("state.json");
    let state: serde_json::Value = serde_json::from_str(&fs_err::read_to_string(state)?)?;
    state["init"]["pid"]
        .as_i64()
        .context("no pid in state.json")
}
