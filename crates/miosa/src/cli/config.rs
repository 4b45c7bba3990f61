//! `miosa config`: settings and where each came from.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_client::Endpoint;
use serde_json::json;

use crate::cli::Globals;
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::settings::{self, ConfigFile};

/// Keys a user may set, and what they are called in the file.
const KEYS: [(&str, &str); 7] = [
    ("api_url", "endpoint"),
    ("region", "region"),
    ("output", "output"),
    ("default_host", "default_host"),
    ("dns_servers", "dns_servers"),
    ("tenant", "tenant"),
    ("workspace", "workspace"),
];

/// Verbs of settings.
#[derive(Subcommand)]
pub enum Config {
    /// List settings and where they come from
    #[command(
        visible_alias = "list",
        visible_alias = "show",
        after_help = "Examples:\n  miosa config ls"
    )]
    Ls,
    /// Print one setting
    #[command(after_help = "Examples:\n  miosa config get api_url")]
    Get(Get),
    /// Change one setting
    #[command(after_help = "Examples:\n  miosa config set api_url http://127.0.0.1:7420")]
    Set(Set),
}

/// Which setting.
#[derive(Args)]
pub struct Get {
    /// Key
    key: String,
}

/// A setting and its value.
#[derive(Args)]
pub struct Set {
    /// Key
    key: String,
    /// Value; an empty one removes the setting
    value: String,
}

impl Config {
    /// Runs the verb.
    pub fn run(self, globals: &Globals, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::Ls => list(globals, printer),
            Self::Get(args) => get(&args, printer),
            Self::Set(args) => set(args, printer),
        }
    }
}

fn list(globals: &Globals, printer: &Printer) -> Result<ExitCode> {
    let (settings, _) = settings::connect(globals)?;
    let file = ConfigFile::load()?;
    let key = settings
        .key_prefix
        .clone()
        .map(|prefix| format!("{prefix}…"));
    let mut rows = vec![
        vec![
            "api_url".to_owned(),
            settings.endpoint.value.clone(),
            settings.endpoint.source.clone(),
        ],
        vec![
            "api_key".to_owned(),
            key.clone().unwrap_or_else(|| "-".to_owned()),
            settings
                .key_source
                .clone()
                .unwrap_or_else(|| "nowhere".to_owned()),
        ],
    ];
    let mut json = json!({
        "api_url": settings.endpoint.value,
        "api_url_source": settings.endpoint.source,
        "api_key_prefix": settings.key_prefix,
        "api_key_source": settings.key_source,
        "path": file.path(),
    });
    for (name, stored) in KEYS.iter().skip(1) {
        let value = file.get(stored);
        json[*name] = value.clone().into();
        if let Some(value) = value {
            rows.push(vec![
                (*name).to_owned(),
                value,
                file.path().display().to_string(),
            ]);
        }
    }
    printer.value(
        &json,
        View::Table {
            headers: &["KEY", "VALUE", "SOURCE"],
            rows,
            empty: "",
        },
    );
    Ok(ExitCode::SUCCESS)
}

fn get(args: &Get, printer: &Printer) -> Result<ExitCode> {
    let stored = stored_name(&args.key)?;
    let value = ConfigFile::load()?.get(stored);
    printer.value(
        &json!({args.key.as_str(): value}),
        View::Line(value.clone().unwrap_or_default()),
    );
    Ok(ExitCode::SUCCESS)
}

fn set(args: Set, printer: &Printer) -> Result<ExitCode> {
    let stored = stored_name(&args.key)?;
    let value = match args.value.trim() {
        "" => None,
        text if stored == "endpoint" => Some(Endpoint::parse(text)?.as_str().to_owned()),
        text => Some(text.to_owned()),
    };
    let mut file = ConfigFile::load()?;
    file.set(stored, value.clone());
    file.save()?;
    let shown = value.clone().unwrap_or_else(|| "nothing".to_owned());
    printer.value(
        &json!({args.key.as_str(): value}),
        View::Line(format!("{} is {shown}", args.key)),
    );
    Ok(ExitCode::SUCCESS)
}

fn stored_name(key: &str) -> Result<&'static str> {
    let wanted = if key == "endpoint" { "api_url" } else { key };
    KEYS.iter()
        .find(|(name, _)| *name == wanted)
        .map(|(_, stored)| *stored)
        .ok_or_else(|| {
            let names: Vec<&str> = KEYS.iter().map(|(name, _)| *name).collect();
            CliError::usage(format!("there is no setting `{key}`"))
                .hint(format!("settings are {}", names.join(", ")))
        })
}
