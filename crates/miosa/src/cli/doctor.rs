//! `miosa doctor`: can this machine work with the server?

use std::process::ExitCode;

use miosa_client::Client;
use serde_json::{Value, json};

use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::settings::Settings;

/// One thing that was looked at.
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

impl Check {
    /// A check from an attempt.
    pub fn of<T>(
        name: &'static str,
        attempt: std::result::Result<T, String>,
        seen: impl FnOnce(T) -> String,
    ) -> Self {
        match attempt {
            Ok(value) => Self {
                name,
                ok: true,
                detail: seen(value),
            },
            Err(detail) => Self {
                name,
                ok: false,
                detail,
            },
        }
    }
}

/// Shows checks; any that failed fails the command.
pub fn report(checks: &[Check], more: Value, printer: &Printer) -> ExitCode {
    let ok = checks.iter().all(|check| check.ok);
    let mut json = more;
    json["ok"] = ok.into();
    json["checks"] = checks
        .iter()
        .map(|check| json!({"name": check.name, "ok": check.ok, "detail": check.detail}))
        .collect();
    let rows = checks.iter().map(|check| {
        let mark = if check.ok { "ok" } else { "FAIL" };
        vec![mark.to_owned(), check.name.to_owned(), check.detail.clone()]
    });
    printer.value(
        &json,
        View::Table {
            headers: &["", "CHECK", "SEEN"],
            rows: rows.collect(),
            empty: "",
        },
    );
    if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

/// A broker with a defence switched off is not safe, whatever else is well.
fn defences(capabilities: Value) -> std::result::Result<(), String> {
    let weakened = &capabilities["broker"]["weakened"];
    match weakened.as_array() {
        Some(none) if none.is_empty() => Ok(()),
        Some(_) => Err(format!("NOT SAFE, defences are switched off: {weakened}")),
        None => Err("the server does not say whether all defences are on".to_owned()),
    }
}

/// Looks at endpoint, key, tenant and templates.
pub async fn doctor(settings: &Settings, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let said = |error| CliError::from(error).message;
    let key = settings
        .key_source
        .clone()
        .ok_or_else(|| "no key; run `miosa login`".to_owned());
    let tenant = client.tenant().await.and_then(|answer| answer.data());
    let templates = client
        .templates(false)
        .await
        .and_then(|answer| answer.data());
    let capabilities = client
        .capabilities()
        .await
        .and_then(|answer| answer.data())
        .map_err(said);
    let checks = [
        Check {
            name: "endpoint",
            ok: true,
            detail: format!(
                "{} (from {})",
                settings.endpoint.value, settings.endpoint.source
            ),
        },
        Check::of("key", key, |source| format!("from {source}")),
        Check::of("server", tenant.map_err(said), |tenant| {
            format!("tenant {}", tenant.name)
        }),
        Check::of("templates", templates.map_err(said), |templates| {
            let ready = templates
                .iter()
                .filter(|template| template.status == "ready")
                .count();
            format!("{} ({ready} ready)", templates.len())
        }),
        Check::of("broker", capabilities.and_then(defences), |()| {
            "all defences are on".to_owned()
        }),
    ];
    let more = json!({"endpoint": settings.endpoint.value, "version": env!("CARGO_PKG_VERSION")});
    Ok(report(&checks, more, printer))
}
