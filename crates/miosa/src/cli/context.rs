//! `miosa context`: settings of several servers under names (`~/.miosa/contexts.json`, 0600).

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cli::Globals;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::settings::{self, ConfigFile};

/// Settings a context holds.
const HELD: [&str; 5] = ["endpoint", "api_key", "tenant", "workspace", "region"];

/// Verbs of contexts.
#[derive(Subcommand)]
pub enum Context {
    /// List contexts
    #[command(visible_alias = "list", after_help = "Examples:\n  miosa context ls")]
    Ls,
    /// Keep the present settings under a name
    #[command(after_help = "Examples:\n  miosa context save work")]
    Save(Name),
    /// Show a context, or the present settings
    #[command(after_help = "Examples:\n  miosa context show work")]
    Show(MaybeName),
    /// Make a context the present settings
    #[command(after_help = "Examples:\n  miosa context use work")]
    Use(Name),
    /// Forget a context
    #[command(
        visible_alias = "delete",
        after_help = "Examples:\n  miosa context rm work"
    )]
    Rm(Name),
    /// Change tenant and workspace of the present settings (--tenant, --workspace)
    #[command(after_help = "Examples:\n  miosa context set --tenant acme --workspace 7")]
    Set,
}

/// Which context.
#[derive(Args)]
pub struct Name {
    /// Its name
    name: String,
}

/// Which context, if any.
#[derive(Args)]
pub struct MaybeName {
    /// Its name
    name: Option<String>,
}

impl Context {
    /// Runs the verb.
    pub fn run(self, globals: &Globals, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::Ls => list(printer)?,
            Self::Save(args) => save(args, printer)?,
            Self::Show(args) => show(args, printer)?,
            Self::Use(args) => activate(&args, printer)?,
            Self::Rm(args) => remove(&args, printer)?,
            Self::Set => set(globals, printer)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn path() -> Result<std::path::PathBuf> {
    Ok(settings::home()?.join("contexts.json"))
}

fn load() -> Result<Map<String, Value>> {
    match fs_err::read(path()?) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            CliError::user("CLI_CONFIG_ERROR", "contexts.json is not JSON").why(error.to_string())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(CliError::file(&error)),
    }
}

fn store(contexts: &Map<String, Value>) -> Result<()> {
    let text = serde_json::to_string_pretty(contexts).unwrap_or_default();
    settings::write_private(&path()?, format!("{text}\n").as_bytes())
}

fn find<'a>(contexts: &'a Map<String, Value>, name: &str) -> Result<&'a Value> {
    contexts.get(name).ok_or_else(|| {
        CliError::user(
            "CLI_CONTEXT_NOT_FOUND",
            format!("there is no context `{name}`"),
        )
        .hint("list them with `miosa context ls`")
    })
}

fn present() -> Result<Value> {
    let file = ConfigFile::load()?;
    let mut held = json!({});
    for key in HELD {
        if let Some(value) = file.get(key) {
            held[key] = value.into();
        }
    }
    Ok(held)
}

/// A context without its key.
fn shown(context: &Value) -> Value {
    let mut shown = context.clone();
    if let Some(key) = shown.get("api_key").and_then(Value::as_str) {
        let prefix: String = key.chars().take(12).collect();
        shown["api_key"] = format!("{prefix}…").into();
    }
    shown
}

fn list(printer: &Printer) -> Result<()> {
    let contexts = load()?;
    let now = present()?;
    let rows = contexts.iter().map(|(name, context)| {
        let mark = if *context == now { "*" } else { "" };
        let endpoint = context["endpoint"].as_str().unwrap_or("-");
        vec![mark.to_owned(), name.clone(), endpoint.to_owned()]
    });
    let json = contexts.iter().map(|(name, context)| {
        json!({"name": name, "active": *context == now, "endpoint": context["endpoint"]})
    });
    printer.value(
        &json.collect(),
        View::Table {
            headers: &["", "NAME", "ENDPOINT"],
            rows: rows.collect(),
            empty: "no contexts",
        },
    );
    Ok(())
}

fn save(args: Name, printer: &Printer) -> Result<()> {
    let mut contexts = load()?;
    let context = present()?;
    let json = json!({"name": args.name, "context": shown(&context)});
    let line = format!("saved {}", args.name);
    contexts.insert(args.name, context);
    store(&contexts)?;
    printer.value(&json, View::Line(line));
    Ok(())
}

/// Keeps the present settings under a name.
pub fn keep(name: &str) -> Result<()> {
    let mut contexts = load()?;
    contexts.insert(name.to_owned(), present()?);
    store(&contexts)
}

fn show(args: MaybeName, printer: &Printer) -> Result<()> {
    let context = match args.name {
        Some(name) => shown(find(&load()?, &name)?),
        None => shown(&present()?),
    };
    printer.value(&context, View::of_json(&context));
    Ok(())
}

fn activate(args: &Name, printer: &Printer) -> Result<()> {
    let contexts = load()?;
    let context = find(&contexts, &args.name)?;
    let mut file = ConfigFile::load()?;
    for key in HELD {
        file.set(key, context[key].as_str().map(str::to_owned));
    }
    file.save()?;
    printer.value(&shown(context), View::Line(format!("using {}", args.name)));
    Ok(())
}

fn remove(args: &Name, printer: &Printer) -> Result<()> {
    let mut contexts = load()?;
    find(&contexts, &args.name)?;
    contexts.remove(&args.name);
    store(&contexts)?;
    printer.value(
        &json!({"deleted": true}),
        View::Line(format!("removed {}", args.name)),
    );
    Ok(())
}

fn set(globals: &Globals, printer: &Printer) -> Result<()> {
    if globals.tenant.is_none() && globals.workspace.is_none() {
        return Err(CliError::usage("nothing to change").hint("give --tenant or --workspace"));
    }
    let mut file = ConfigFile::load()?;
    for (key, value) in [
        ("tenant", &globals.tenant),
        ("workspace", &globals.workspace),
    ] {
        if value.is_some() {
            file.set(key, value.clone());
        }
    }
    file.save()?;
    show(MaybeName { name: None }, printer)
}
