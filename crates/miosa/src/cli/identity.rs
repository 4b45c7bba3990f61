//! Who is logged in, and where.

use std::process::ExitCode;

use clap::Args;
use miosa_api::identity::Tenant;
use miosa_client::{Client, SandboxQuery};
use serde_json::{Value, json};

use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};
use crate::cli::settings::Settings;

/// How to find out.
#[derive(Args)]
pub struct Whoami {
    /// Ask the server (always done; accepted for other clients' sake)
    #[arg(long, hide = true)]
    refresh: bool,
    /// Accepted for other clients' sake
    #[arg(long, hide = true, conflicts_with = "refresh")]
    cached: bool,
}

/// Asks the server whose key this is.
pub async fn whoami(
    _args: Whoami,
    settings: &Settings,
    client: &Client,
    printer: &Printer,
) -> Result<ExitCode> {
    let tenant = client.tenant().await?.data()?;
    let json = json!({
        "authenticated": true,
        "name": tenant.name,
        "slug": tenant.slug,
        "plan": tenant.plan,
        "credit_balance": credit(client, &tenant).await,
        "region": settings.region,
        "api_key_prefix": settings.key_prefix,
        "endpoint": settings.endpoint.value,
    });
    printer.value(
        &json,
        View::Fields(vec![
            ("tenant", tenant.name),
            ("slug", tenant.slug),
            ("plan", tenant.plan),
            ("endpoint", settings.endpoint.value.clone()),
            (
                "key",
                settings
                    .key_prefix
                    .clone()
                    .map(|key| format!("{key}…"))
                    .unwrap_or_default(),
            ),
        ]),
    );
    Ok(ExitCode::SUCCESS)
}

/// The balance, where the server bills; a server that does not is no error.
async fn credit(client: &Client, tenant: &Tenant) -> Value {
    let overview = match client.billing_overview().await {
        Ok(answer) => answer.json().clone(),
        Err(_) => Value::Null,
    };
    let cents = |name: &str| overview.get(name).and_then(Value::as_i64);
    let computed = || {
        Some(
            cents("usage_budget_cents")? + cents("topup_balance_cents")?
                - cents("billing_period_usage_cents")?,
        )
    };
    cents("available_balance_cents")
        .or_else(computed)
        .unwrap_or(tenant.credit_balance)
        .into()
}

/// Server, tenant and live sandboxes in short.
pub async fn status(settings: &Settings, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let tenant = client.tenant().await?.data()?;
    let query = SandboxQuery {
        page_size: Some(100),
        ..SandboxQuery::default()
    };
    let sandboxes = client.sandboxes(&query).await?.data()?;
    let running = sandboxes
        .iter()
        .filter(|sandbox| sandbox.state.as_str() == "running")
        .count();
    let json = json!({
        "endpoint": settings.endpoint.value,
        "tenant": tenant.slug,
        "sandboxes": sandboxes.len(),
        "running": running,
    });
    printer.value(
        &json,
        View::Fields(vec![
            ("endpoint", settings.endpoint.value.clone()),
            ("tenant", tenant.name),
            (
                "sandboxes",
                format!("{} ({running} running)", sandboxes.len()),
            ),
        ]),
    );
    Ok(ExitCode::SUCCESS)
}

/// What the server can do.
pub async fn capabilities(client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.capabilities().await?;
    printer.show(&answer, |value| View::of_json(&value))?;
    Ok(ExitCode::SUCCESS)
}
