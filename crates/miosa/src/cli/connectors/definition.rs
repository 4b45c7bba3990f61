//! Definitions: which there are, and whether a file is one.

use std::process::ExitCode;

use miosa_client::Client;
use miosa_server::connectors::{Catalog, Fault};
use serde_json::json;

use super::Definition;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};

/// What connectors can be made of, on this server.
pub(super) async fn catalog(client: &Client, printer: &Printer) -> Result<ExitCode> {
    let answer = client.connector_catalog().await?;
    printer.show(&answer, |entries| View::Table {
        headers: &["PROVIDER", "TYPE", "VARIABLE", "HOSTS"],
        rows: entries
            .into_iter()
            .map(|e| {
                let name = e.uid.unwrap_or(e.provider);
                vec![name, e.kind, e.default_env_name, e.hosts.join(", ")]
            })
            .collect(),
        empty: "no definitions",
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Checks a file on this machine by the server's own rules.
pub fn validate(args: &Definition, printer: &Printer) -> Result<ExitCode> {
    let file = args.file.display().to_string();
    let text = fs_err::read_to_string(&args.file).map_err(|error| CliError::file(&error))?;
    let definition = Fault::check(&text).map_err(|fault| refusal(&file, &fault))?;
    let shipped = Catalog::load(None)
        .map_err(|error| CliError::user("CLI_INVALID_DEFINITION", error.to_string()))?;
    let conflicts = shipped.conflicts(&definition);
    let key = definition.key();
    let value = json!({
        "valid": true, "file": file, "definition": definition.entry(),
        "shipped": shipped.all().any(|d| d.key() == key), "conflicts_with": conflicts,
    });
    let count = definition.endpoints.len();
    printer.value(
        &value,
        View::Line(format!("{file} is valid: {key}, {count} endpoints")),
    );
    if !conflicts.is_empty() {
        let others = conflicts.join(", ");
        printer.note(&format!("cannot be in one sandbox with: {others}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn refusal(file: &str, fault: &Fault) -> CliError {
    let field = fault.field.as_deref();
    let named = field.map_or_else(String::new, |field| format!("`{field}` "));
    let message = format!("{file}:{}: {named}{}", fault.line, fault.expected);
    CliError::user("CLI_INVALID_DEFINITION", message)
        .hint("docs/connectors.md shows a definition with every key")
        .details(json!({
            "file": file, "line": fault.line, "field": field, "expected": fault.expected,
        }))
}
