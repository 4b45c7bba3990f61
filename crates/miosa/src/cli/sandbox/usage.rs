//! What a sandbox uses, listens on and logs.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use miosa_client::Client;
use serde_json::Value;

use super::Id;
use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};

/// Which measurements.
#[derive(Args)]
pub struct Metrics {
    /// Id of the sandbox
    id: String,
    /// Time they cover
    #[arg(long, value_enum, default_value = "1h")]
    window: Window,
}

#[derive(Clone, Copy, ValueEnum)]
enum Window {
    #[value(name = "1h")]
    Hour,
    #[value(name = "24h")]
    Day,
    #[value(name = "7d")]
    Week,
}

/// Which lines.
#[derive(Args)]
pub struct Logs {
    /// Id of the sandbox
    id: String,
    /// How many
    #[arg(long, value_name = "N")]
    lines: Option<u32>,
}

/// Lists listening ports.
pub async fn ports(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.ports(&args.id).await?;
    printer.show_envelope(&answer, |data| View::Table {
        headers: &["PORT", "ADDRESS", "PROCESS", "PID"],
        rows: data["ports"]
            .as_array()
            .into_iter()
            .flatten()
            .map(port_row)
            .collect(),
        empty: "nothing listens",
    })?;
    Ok(ExitCode::SUCCESS)
}

fn port_row(port: &Value) -> Vec<String> {
    vec![
        text(&port["port"]),
        text(&port["address"]),
        text(&port["process"]["name"]),
        text(&port["process"]["pid"]),
    ]
}

/// A JSON value in a cell.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Shows what a sandbox uses now.
pub async fn metrics(args: Metrics, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let window = match args.window {
        Window::Hour => "1h",
        Window::Day => "24h",
        Window::Week => "7d",
    };
    let answer = client.metrics(&args.id, Some(window)).await?;
    printer.show_envelope(&answer, |data| pairs(&data["current"]))?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what a sandbox used so far.
pub async fn usage(args: Id, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.usage(&args.id).await?;
    printer.show(&answer, |data| pairs(&data))?;
    Ok(ExitCode::SUCCESS)
}

fn pairs(data: &Value) -> View {
    let rows = data.as_object().into_iter().flatten();
    View::Table {
        headers: &["NAME", "VALUE"],
        rows: rows
            .map(|(name, value)| vec![name.clone(), text(value)])
            .collect(),
        empty: "nothing measured",
    }
}

/// Shows the last lines of a sandbox's log.
pub async fn logs(args: Logs, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.logs(&args.id, args.lines).await?;
    printer.show(&answer, |data| View::Text(log_text(&data)))?;
    Ok(ExitCode::SUCCESS)
}

/// Log lines in any of the shapes servers send them.
pub fn log_text(data: &Value) -> String {
    for name in ["lines", "logs", "output", "stdout"] {
        match &data[name] {
            Value::Array(lines) => return lines.iter().map(text).collect::<Vec<_>>().join("\n"),
            Value::String(lines) => return lines.clone(),
            _ => {}
        }
    }
    match data {
        Value::Array(lines) => lines.iter().map(text).collect::<Vec<_>>().join("\n"),
        other => text(other),
    }
}
