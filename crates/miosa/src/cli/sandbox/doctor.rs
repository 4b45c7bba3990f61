//! Finding out why something does not answer, and finding a sandbox again.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use miosa_api::sandbox::Sandbox;
use miosa_client::{Answer, Client, SandboxQuery};
use serde_json::{Value, json};

use super::list;
use super::wait::{self, Deadline};
use crate::cli::doctor::{self as checks, Check};
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::settings::Settings;

/// How long a recovered sandbox's application is waited for.
const RECOVER_WAIT: Duration = Duration::from_secs(60);

/// What to check.
#[derive(Args)]
pub struct Doctor {
    /// Id of the sandbox; the server alone when absent
    id: Option<String>,
    /// Port of the application
    #[arg(long)]
    port: Option<u16>,
    /// Path to look at
    #[arg(long, default_value = "/", value_name = "PATH")]
    probe_path: String,
    /// Accepted for other clients' sake
    #[arg(long, hide = true)]
    full: bool,
    /// Accepted for other clients' sake
    #[arg(long, hide = true)]
    dir: Option<String>,
}

/// What to find.
#[derive(Args)]
pub struct Recover {
    /// Name, id, or the beginning of an id
    which: String,
    /// Port of the application
    #[arg(long)]
    port: Option<u16>,
    /// Path to look at
    #[arg(long, default_value = "/", value_name = "PATH")]
    probe_path: String,
}

/// Checks a sandbox: state, guest, application inside, preview outside.
pub async fn doctor(
    args: Doctor,
    settings: &Settings,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let Some(id) = args.id else {
        return checks::doctor(settings, client, printer).await;
    };
    let sandbox = client.sandbox(&id).await?.data()?;
    let running = sandbox.state.as_str() == "running";
    let mut found = vec![Check {
        name: "state",
        ok: running,
        detail: sandbox.state.as_str().to_owned(),
    }];
    let readiness = client.readiness(&id).await;
    let missing = readiness
        .map_err(|error| error.to_string())
        .and_then(|answer| {
            let data = answer.json().clone();
            if data["ready"] == true {
                Ok(data)
            } else {
                Err(data["components"].to_string())
            }
        });
    found.push(Check::of("guest", missing, |_| "answers".to_owned()));
    if let Some(port) = args.port {
        let inside = wait::look_inside(&id, port, &args.probe_path, client).await;
        found.push(Check::of("inside", inside.and_then(good), |status| {
            format!("status {status}")
        }));
        found.push(look_outside(&id, port, &args.probe_path, client).await);
    }
    Ok(checks::report(&found, json!({"sandbox_id": id}), printer))
}

fn good(status: u16) -> std::result::Result<u16, String> {
    match status {
        200..=399 => Ok(status),
        _ => Err(format!("status {status}")),
    }
}

async fn look_outside(id: &str, port: u16, path: &str, client: &Client) -> Check {
    let url = match wait::expose(id, port, client).await {
        Ok(url) => url,
        Err(error) => {
            return Check {
                name: "outside",
                ok: false,
                detail: error.message,
            };
        }
    };
    let probe = client.probe(&wait::with_path(&url, path)).await;
    Check {
        name: "outside",
        ok: probe.is_ready(),
        detail: format!("{} at {url}", wait::seen(&probe)),
    }
}

/// Finds a sandbox again, and with a port waits for its application.
pub async fn recover(args: Recover, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = find(&args.which, client).await?;
    let sandbox = answer.data()?;
    let mut json: Value = answer.json().clone();
    let mut view = list::fields(&sandbox);
    if let Some(port) = args.port {
        let mut progress = printer.progress("waiting for the application…");
        let deadline = Deadline::after(RECOVER_WAIT);
        let ready = wait::port_ready(
            &sandbox.id,
            port,
            &args.probe_path,
            deadline,
            client,
            &mut progress,
        )
        .await?;
        json["preview"] = wait::preview_json(&ready.url, port, &ready.probe);
        json["preview_url"] = ready.url.clone().into();
        view.push(("preview", ready.url));
    }
    printer.value(&json, View::Fields(view));
    Ok(ExitCode::SUCCESS)
}

/// By id, by name, then by the beginning of an id.
async fn find(which: &str, client: &Client) -> Result<Answer<Sandbox>> {
    for attempt in [
        client.sandbox(which).await,
        client.sandbox_by_name(which).await,
    ] {
        match attempt {
            Err(error) if matches!(error.status(), Some(400 | 404 | 422)) => {}
            outcome => return Ok(outcome?),
        }
    }
    let query = SandboxQuery {
        page_size: Some(100),
        ..SandboxQuery::default()
    };
    let all = client.sandboxes(&query).await?.data()?;
    let mut matching = all.iter().filter(|sandbox| sandbox.id.starts_with(which));
    match (matching.next(), matching.next()) {
        (Some(sandbox), None) => Ok(client.sandbox(&sandbox.id).await?),
        (Some(_), Some(_)) => Err(CliError::user(
            "CLI_AMBIGUOUS_SANDBOX",
            format!("several sandboxes begin with `{which}`"),
        )
        .hint("give more of the id")),
        (None, _) => Err(
            CliError::user("NOT_FOUND", format!("there is no sandbox `{which}`"))
                .hint("list them with `miosa sandbox list`"),
        ),
    }
}
