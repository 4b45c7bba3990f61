//! Memory of connections that are open and idle.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, Command};

use super::Row;
use super::side::Side;

/// As many as a sandbox may have, less those that warm up.
const CONNECTIONS: u32 = 1000;
/// Open before, so that what is made once does not count.
const WARM: u32 = 20;
/// What ends a request may still be written down or freed.
const SETTLE: Duration = Duration::from_secs(2);

/// KiB for each of the connections.
async fn one(side: &Side) -> Result<f64> {
    let line = format!(
        "{} python3 - {} {} '{}' {WARM} {CONNECTIONS}",
        side.inside, side.host, side.port, side.authorization
    );
    // The program comes as an argument of the shell's, for standard input is what it waits on.
    let line = line.replacen("python3 -", "python3 -c \"$IDLE\"", 1);
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .env("IDLE", include_str!("idle.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    let mut open = async || {
        let line = lines.next_line().await?;
        ensure!(
            line.as_deref() == Some("open"),
            "{}: the connections are not open",
            side.who
        );
        tokio::time::sleep(SETTLE).await;
        side.process.memory()
    };
    let before = open().await?;
    next(&mut stdin).await?;
    let after = open().await?;
    next(&mut stdin).await?;
    child.wait().await?;
    Ok((after - before) / f64::from(CONNECTIONS))
}

async fn next(stdin: &mut ChildStdin) -> Result<()> {
    Ok(stdin.write_all(b"\n").await?)
}

/// Measures each side once, while it is fresh: memory that load left free would hide what is used.
pub async fn measure(sides: &[Side]) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for side in sides {
        let value = one(side).await?;
        rows.push(Row {
            what: format!("memory of an idle connection, of {CONNECTIONS}"),
            who: side.who.to_owned(),
            value,
            unit: "KiB",
            high: None,
            ratio: rows.first().map(|own| own.value / value),
        });
    }
    Ok(rows)
}
