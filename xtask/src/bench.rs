//! `./x bench`: figures beside a peer, measured in the same run on the same machine.
//!
//! Nothing here is asserted: a time on a busy machine proves nothing, a ratio in one run says something.

mod broker;
mod idle;
mod lifecycle;
mod load;
mod mitmproxy;
mod peers;
mod process;
mod sample;
mod side;
mod stream;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use miosa_testkit::main_job;
use miosa_testkit::registries;
use miosa_testkit::rig::Rig;
use miosa_testkit::world::{self, Settings, World};
use serde::Serialize;

use crate::{cache, cargo, root};

/// One figure with its peer's.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// Who: `miosa`, or a peer.
    pub who: String,
    /// The figure; the median where there were several.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The 95th percentile.
    pub high: Option<f64>,
    /// miosa's (first) figure divided by this one.
    pub ratio: Option<f64>,
}

/// Where the sandbox API is, and the key for it.
pub struct Api {
    client: reqwest::Client,
    base: String,
    key: String,
}

impl Api {
    fn of(world: &World) -> Result<Self> {
        let config = fs_err::read_to_string(world.folder().join(".miosa/config.json"))?;
        let config: serde_json::Value = serde_json::from_str(&config)?;
        let text = |name: &str| {
            config[name]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("no {name}"))
        };
        let base = format!("{}/api/v1", text("endpoint")?.trim_end_matches('/'));
        Ok(Self {
            client: reqwest::Client::builder().no_proxy().build()?,
            base,
            key: text("api_key")?,
        })
    }

    /// One call; the `data` of its answer.
    pub async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<serde_json::Value> {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?.error_for_status()?;
        let bytes = answer.bytes().await?;
        let value: serde_json::Value = if bytes.is_empty() {
            serde_json::Value::Null
        } else {
            serde_json::from_slice(&bytes)?
        };
        Ok(value.get("data").cloned().unwrap_or(value))
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Sandboxes that come and go, beside crun, bubblewrap and Docker.
    Lifecycle,
    /// What goes through the broker, beside nginx and mitmproxy.
    Broker,
}

/// Measures one part or all, prints a table and writes `target/bench.json`.
pub fn run(program: Option<std::path::PathBuf>, only: Option<Part>) -> Result<()> {
    let program = program.map_or_else(cargo::build_miosa_release, Ok)?;
    let program = program.canonicalize()?;
    let runtime = tokio::runtime::Runtime::new().context("no runtime for the benches")?;
    let rows = runtime.block_on(measure(program, only))?;
    let file = cargo::target_folder().join("bench.json");
    fs_err::write(&file, serde_json::to_string_pretty(&rows)?)?;
    print_table(&rows);
    Ok(())
}

async fn measure(program: std::path::PathBuf, only: Option<Part>) -> Result<Vec<Row>> {
    let cache = cache();
    fs_err::create_dir_all(&cache)?;
    let folder = world::folder()?;
    let rig = Rig::start(folder.path(), &cache, vec![main_job::script()]).await?;
    let upstream = peers::Nginx::start(folder.path(), &rig).await?;
    let mut flags = rig.flags();
    flags.extend(upstream.flags());
    for range in registries::special_ranges(&root().join("templates"))? {
        flags.extend(["--allow-range".to_owned(), range]);
    }
    let world = World::start(
        folder,
        &Settings {
            program,
            cache: cache.clone(),
            flags,
            environment: Vec::new(),
        },
    )
    .await?;
    let api = Api::of(&world)?;
    let mut rows = Vec::new();
    lifecycle::warm(&api).await?;
    if only != Some(Part::Broker) {
        rows.extend(lifecycle::measure(&api, &cache.join("layers"), world.folder()).await?);
    }
    if only != Some(Part::Lifecycle) {
        rows.extend(broker::measure(&world, &api, &rig, &upstream).await?);
    }
    let mut left = world.end().await?;
    // The peer still runs; it ends with `upstream`.
    left.retain(|line| !line.contains("nginx"));
    anyhow::ensure!(left.is_empty(), "left over: {left:?}");
    Ok(rows)
}

#[expect(clippy::print_stdout, reason = "the table is the bench's purpose")]
fn print_table(rows: &[Row]) {
    println!(
        "{:<60} {:<12} {:>10} {:>10} {:<6} {:>8}",
        "what", "who", "median", "high", "unit", "ratio"
    );
    for row in rows {
        let optional = |value: Option<f64>| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
        };
        println!(
            "{:<60} {:<12} {:>10.2} {:>10} {:<6} {:>8}",
            row.what,
            row.who,
            row.value,
            optional(row.high),
            row.unit,
            optional(row.ratio)
        );
    }
}
