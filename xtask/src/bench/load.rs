//! Requests a second, latency and processor time, in rounds that alternate.

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::Row;
use super::sample::median;
use super::side::Side;

const ROUNDS: usize = 5;
const SECONDS: u32 = 3;
const WHAT: &str = "requests through interception, 16 connections";

/// One round of one side.
struct Load {
    per_second: f64,
    median_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

/// What is said of a load, its unit, and how it is read.
type Figure = (&'static str, &'static str, fn(&Load) -> f64);

/// Measures all sides; the first is miosa. A ratio is the median of the rounds' own.
pub async fn measure(sides: &[Side]) -> Result<Vec<Row>> {
    let mut loads: Vec<Vec<Load>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (side, loads) in sides.iter().zip(&mut loads) {
            loads.push(one(side).await?);
        }
    }
    let figures: [Figure; 4] = [
        (WHAT, "req/s", |load| load.per_second),
        ("the same: latency, median", "ms", |load| load.median_ms),
        ("the same: latency, p99", "ms", |load| load.p99_ms),
        ("the same: processor time a request", "us", |load| {
            load.cpu_us
        }),
    ];
    let mut rows = Vec::new();
    for (what, unit, figure) in figures {
        for (index, (side, theirs)) in sides.iter().zip(&loads).enumerate() {
            let ratios = loads[0].iter().zip(theirs);
            let ratios = ratios.map(|(own, theirs)| figure(own) / figure(theirs));
            rows.push(Row {
                what: what.to_owned(),
                who: side.who.to_owned(),
                value: median(theirs.iter().map(figure)),
                unit,
                high: None,
                ratio: (index > 0).then(|| median(ratios)),
            });
        }
    }
    Ok(rows)
}

async fn one(side: &Side) -> Result<Load> {
    let before = side.process.cpu()?;
    let text = output(&format!(
        "{} wrk -t1 -c16 -d{SECONDS}s --latency -H 'Authorization: {}' {}",
        side.inside,
        side.authorization,
        side.url("/v1/models")
    ))
    .await?;
    let cpu = side.process.cpu()? - before;
    ensure!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{}: {text}",
        side.who
    );
    let field = |name: &str| {
        let mut lines = text.lines().map(str::trim);
        let value = lines.find_map(|line| line.strip_prefix(name));
        value
            .map(str::trim)
            .with_context(|| format!("no {name} in {text}"))
    };
    let per_second: f64 = field("Requests/sec:")?.parse()?;
    let time = |name| milliseconds(field(name)?).context("not a time");
    Ok(Load {
        per_second,
        median_ms: time("50%")?,
        p99_ms: time("99%")?,
        cpu_us: cpu * 1e6 / (per_second * f64::from(SECONDS)),
    })
}

/// What a line of the shell says; its failure is one.
pub async fn output(line: &str) -> Result<String> {
    let output = Command::new("sh").args(["-c", line]).output().await?;
    ensure!(
        output.status.success(),
        "`{line}`: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    units.iter().find_map(|(unit, factor)| {
        let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
        Some(number * factor)
    })
}
