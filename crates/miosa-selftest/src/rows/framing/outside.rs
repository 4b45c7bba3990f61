//! Rows of B4 that are looked at from outside.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::rows::mcp::by_rules;
use crate::trial::Trial;

/// How much the broker may grow while an upload of 64 MiB passes: some buffers.
const GROWTH_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// How long a provider's side may outlive a client that left.
const CANCELLED_WITHIN: Duration = Duration::from_secs(5);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A body over the limit, in a sandbox where bodies are read.
pub(super) async fn row_076(trial: &mut Trial<'_>) -> Result<()> {
    by_rules(trial, "row_076").await
}

/// An upload in constant memory.
pub(super) async fn row_077(trial: &mut Trial<'_>) -> Result<()> {
    let broker = trial.lab.broker()?.as_raw_nonzero().get().cast_unsigned();
    // Once, so that what is made on a first use is there.
    trial.inside("upload", Value::from(1)).await?;
    let before = peak_memory(broker)?;
    trial.inside("upload", Value::from(64)).await?;
    let grown = peak_memory(broker)?.saturating_sub(before);
    trial.check(
        "memory of the broker after an upload of 64 MiB",
        "grows by far less than the upload",
        grown < GROWTH_BYTES_MAX,
        format!("grew by {} KiB", grown / 1024),
    );
    Ok(())
}

fn peak_memory(pid: u32) -> Result<u64> {
    let status = fs_err::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 = line
        .and_then(|text| text.trim().split(' ').next())
        .context("no VmHWM")?
        .parse()?;
    Ok(kib * 1024)
}

/// What becomes of the provider's side of a stream.
pub(super) async fn row_081(trial: &mut Trial<'_>) -> Result<()> {
    for client in [
        "leaves in order",
        "resets the connection",
        "resets its HTTP/2 stream",
    ] {
        let seen_before = trial.lab.stand.log.count();
        trial.inside("leave_stream", Value::from(client)).await?;
        let left = Instant::now();
        let is_over = loop {
            let seen = trial.lab.stand.log.since(seen_before);
            if seen.iter().any(|one| one.server == "broken off") {
                break true;
            }
            if left.elapsed() > CANCELLED_WITHIN {
                break false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        trial.check(
            &format!("the provider's side of a stream whose client {client}"),
            "ends within seconds",
            is_over,
            format!("{is_over} after {} ms", left.elapsed().as_millis()),
        );
    }
    trial.inside("broken_answers", Value::Null).await?;
    Ok(())
}
