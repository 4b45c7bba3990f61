//! Ports that are reachable from outside, and waiting for what answers there.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use miosa_client::{Client, Probe};
use serde_json::{Value, json};

use super::Id;
use super::wait::{self, Deadline};
use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};
use crate::cli::units;

/// How long to look, and where.
#[derive(Args)]
struct Look {
    /// Wait until the application answers
    #[arg(long)]
    wait: bool,
    /// How long to wait
    #[arg(long, default_value = "120", value_parser = units::span, value_name = "DURATION")]
    timeout: Duration,
    /// Path to look at
    #[arg(long, default_value = "/", value_name = "PATH")]
    probe_path: String,
}

/// A port to expose.
#[derive(Args)]
pub struct PreviewArgs {
    /// Id of the sandbox
    id: String,
    /// Port inside
    #[arg(long)]
    port: u16,
    #[command(flatten)]
    look: Look,
}

/// A port to expose.
#[derive(Args)]
pub struct Domain {
    /// Id of the sandbox
    id: String,
    /// Port inside
    port: u16,
    #[command(flatten)]
    look: Look,
}

/// What to wait for.
#[derive(Args)]
pub struct Wait {
    /// Id of the sandbox
    id: String,
    /// Port of the application; only the sandbox when absent
    #[arg(long)]
    port: Option<u16>,
    /// Address to look at instead of the preview's
    #[arg(long, conflicts_with = "port")]
    url: Option<String>,
    /// How long to wait
    #[arg(long, default_value = "120", value_parser = units::span, value_name = "DURATION")]
    timeout: Duration,
    /// Path to look at
    #[arg(long, default_value = "/", value_name = "PATH")]
    probe_path: String,
}

/// Lists exposed ports.
pub async fn previews(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.previews(&args.id).await?;
    printer.show(&answer, |previews| View::Table {
        headers: &["PORT", "VISIBILITY", "URL"],
        rows: previews
            .into_iter()
            .map(|preview| vec![preview.port.to_string(), preview.visibility, preview.url])
            .collect(),
        empty: "no previews",
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Exposes a port and looks at it.
pub async fn preview(args: PreviewArgs, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let (url, probe) = expose(&args.id, args.port, &args.look, client, printer).await?;
    show(&url, &probe, json!({}), printer);
    Ok(ExitCode::SUCCESS)
}

/// The same with the port in the answer.
pub async fn domain(args: Domain, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let (url, probe) = expose(&args.id, args.port, &args.look, client, printer).await?;
    show(&url, &probe, json!({"port": args.port}), printer);
    Ok(ExitCode::SUCCESS)
}

async fn expose(
    id: &str,
    port: u16,
    look: &Look,
    client: &Client,
    printer: &Printer,
) -> Result<(String, Probe)> {
    let mut progress = printer.progress("exposing the port…");
    let url = wait::expose(id, port, client).await?;
    let target = wait::with_path(&url, &look.probe_path);
    let probe = if look.wait {
        let deadline = Deadline::after(look.timeout);
        wait::outside(&target, deadline, client, &mut progress).await?
    } else {
        client.probe(&target).await
    };
    Ok((url, probe))
}

fn show(url: &str, probe: &Probe, more: Value, printer: &Printer) {
    let mut json = more;
    json["url"] = url.into();
    json["ready"] = probe.is_ready().into();
    json["status"] = probe.status.into();
    json["latency_ms"] = probe.latency_ms.into();
    json["error"] = probe.error.clone().into();
    printer.value(
        &json,
        View::Fields(vec![
            ("url", url.to_owned()),
            ("answers", wait::seen(probe)),
        ]),
    );
}

/// Waits for a sandbox, or for an application in it.
pub async fn wait(args: Wait, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let mut progress = printer.progress("waiting for the sandbox…");
    let deadline = Deadline::after(args.timeout);
    if let Some(port) = args.port {
        let ready = wait::port_ready(
            &args.id,
            port,
            &args.probe_path,
            deadline,
            client,
            &mut progress,
        )
        .await?;
        drop(progress);
        let more = json!({
            "sandbox_id": args.id,
            "port": port,
            "internal_status": ready.internal_status,
        });
        show(&ready.url, &ready.probe, more, printer);
        return Ok(ExitCode::SUCCESS);
    }
    let answer = wait::until_running(&args.id, deadline, client, &mut progress).await?;
    let mut json = answer.json().clone();
    json["sandbox_id"] = args.id.clone().into();
    json["ready"] = true.into();
    json["url"] = Value::Null;
    if let Some(url) = &args.url {
        let target = wait::with_path(url, &args.probe_path);
        let probe = wait::outside(&target, deadline, client, &mut progress).await?;
        json["url"] = url.as_str().into();
        json["status"] = probe.status.into();
        json["latency_ms"] = probe.latency_ms.into();
    }
    drop(progress);
    printer.value(&json, View::Line(format!("{} is ready", args.id)));
    Ok(ExitCode::SUCCESS)
}
