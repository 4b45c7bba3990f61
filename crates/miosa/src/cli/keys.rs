//! `miosa keys`: what an operator makes on the server itself.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::error::Result;
use crate::cli::printer::{Printer, View};
use crate::cli::up;
use crate::roles;

/// Verbs of keys.
#[derive(Subcommand)]
pub enum Keys {
    /// Make the pair of keys that seals and opens credentials
    #[command(
        after_help = "Examples:\n  miosa keys generate --opening /etc/miosa/opening.key --sealing /etc/miosa/sealing.pub"
    )]
    Generate(Generate),
    /// Make an API key in the server's own database; it is printed once
    #[command(
        after_help = "Examples:\n  miosa keys create --config /etc/miosa/server.toml --for default --name admin"
    )]
    Create(Create),
}

/// Two files that do not exist yet.
#[derive(Args)]
pub struct Generate {
    /// File for the key that opens (0600; the broker alone reads it)
    #[arg(long, value_name = "FILE")]
    opening: PathBuf,
    /// File for the key that seals
    #[arg(long, value_name = "FILE")]
    sealing: PathBuf,
}

/// For whom a key is made.
#[derive(Args)]
pub struct Create {
    /// The server's settings
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Handle of the tenant; made if there is none
    #[arg(long = "for", default_value = "default", value_name = "TENANT")]
    owner: String,
    /// Name of the key
    #[arg(long, default_value = "admin")]
    name: String,
}

impl Keys {
    /// Runs the verb.
    pub fn run(self, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::Generate(args) => generate(&args, printer),
            Self::Create(args) => create(&args, printer),
        }
    }
}

fn generate(args: &Generate, printer: &Printer) -> Result<ExitCode> {
    up::write_keys(&args.opening, &args.sealing)?;
    printer.value(
        &json!({"opening": args.opening, "sealing": args.sealing}),
        View::Line("keep a copy of the opening key somewhere safe".to_owned()),
    );
    Ok(ExitCode::SUCCESS)
}

fn create(args: &Create, printer: &Printer) -> Result<ExitCode> {
    let config = roles::load(&args.config)?;
    let key = roles::runtime()?.block_on(up::new_key(&config, &args.owner, &args.name))?;
    printer.value(
        &json!({"key": key, "tenant": args.owner}),
        View::Text(key.clone()),
    );
    Ok(ExitCode::SUCCESS)
}
