//! Looking at sandboxes.

use std::process::ExitCode;

use clap::Args;
use miosa_api::sandbox::Sandbox;
use miosa_client::{Client, SandboxQuery};

use super::{Id, wait};
use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Which sandboxes.
#[derive(Args)]
pub struct List {
    /// Only those in this state
    #[arg(long)]
    state: Option<String>,
    /// Rows a page
    #[arg(long, value_name = "N")]
    page_size: Option<u32>,
    /// Page, from 1
    #[arg(long, value_name = "N")]
    page: Option<u32>,
}

/// Which sandbox, and which application in it.
#[derive(Args)]
pub struct Show {
    /// Id of the sandbox
    id: String,
    /// Port of the application
    #[arg(long)]
    port: Option<u16>,
    /// Path to look at
    #[arg(long, default_value = "/", value_name = "PATH")]
    probe_path: String,
}

/// Lists sandboxes.
pub async fn list(args: List, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let query = SandboxQuery {
        state: args.state,
        page_size: args.page_size,
        page: args.page,
    };
    let answer = client.sandboxes(&query).await?;
    printer.show(&answer, |sandboxes| View::Table {
        headers: &["ID", "NAME", "STATUS", "TEMPLATE", "CREATED"],
        rows: sandboxes.into_iter().map(row).collect(),
        empty: "no sandboxes",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(sandbox: Sandbox) -> Vec<String> {
    vec![
        sandbox.id,
        sandbox.name.unwrap_or_else(|| "-".to_owned()),
        sandbox.status.as_str().to_owned(),
        sandbox.template_id,
        sandbox.created_at,
    ]
}

/// Shows one sandbox.
pub async fn get(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.sandbox(&args.id).await?;
    printer.show(&answer, |sandbox| View::Fields(fields(&sandbox)))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows one sandbox, and with a port one look at its preview.
pub async fn show(args: Show, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.sandbox(&args.id).await?;
    let Some(port) = args.port else {
        printer.show(&answer, |sandbox| View::Fields(fields(&sandbox)))?;
        return Ok(ExitCode::SUCCESS);
    };
    let url = wait::expose(&args.id, port, client).await?;
    let probe = client.probe(&wait::with_path(&url, &args.probe_path)).await;
    let mut json = answer.json().clone();
    json["preview"] = wait::preview_json(&url, port, &probe);
    json["ready"] = probe.is_ready().into();
    let mut view = fields(&answer.data()?);
    view.push(("preview", url));
    view.push(("answers", wait::seen(&probe)));
    printer.value(&json, View::Fields(view));
    Ok(ExitCode::SUCCESS)
}

/// A sandbox for people.
pub fn fields(sandbox: &Sandbox) -> Vec<(&'static str, String)> {
    let optional = |value: &Option<String>| value.clone().unwrap_or_default();
    let reason = sandbox
        .metadata
        .get("last_error")
        .and_then(|error| error["reason"].as_str());
    vec![
        ("id", sandbox.id.clone()),
        ("name", optional(&sandbox.name)),
        ("status", sandbox.status.as_str().to_owned()),
        ("reason", reason.unwrap_or_default().to_owned()),
        ("template", sandbox.template_id.clone()),
        ("runtime", sandbox.runtime.clone()),
        (
            "size",
            format!(
                "{} ({} cpu, {} MiB memory, {} MiB disk)",
                sandbox.size, sandbox.cpu_count, sandbox.memory_mb, sandbox.disk_size_mb
            ),
        ),
        ("url", optional(&sandbox.preview_url)),
        ("created", sandbox.created_at.clone()),
        ("expires", optional(&sandbox.expires_at)),
        (
            "at the end",
            if sandbox.persistent {
                "pause"
            } else {
                "destroy"
            }
            .to_owned(),
        ),
    ]
}
