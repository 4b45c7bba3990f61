//! The command line: grammar here, one file per noun, one function per verb.
//!
//! A verb is `async fn verb(args, &Client, &Printer) -> Result<ExitCode>`: it speaks with the public
//! API through `miosa-client` and shows its result through [`Printer`], and does nothing else.

mod admin;
mod approvals;
mod audit;
mod config;
mod connectors;
mod context;
mod doctor;
pub mod error;
mod identity;
mod keys;
mod login;
pub mod printer;
pub mod runs;
pub mod sandbox;
mod secret;
mod security;
pub mod settings;
mod shell;
mod templates;
mod units;
mod up;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand};

use error::{CliError, Result};
use printer::{Printer, View};

use crate::roles;

/// Run AI agents in sandboxes that never hold a credential.
#[derive(Parser)]
#[command(
    name = "miosa",
    version,
    disable_version_flag = true,
    propagate_version = false,
    max_term_width = 100,
    after_help = "Examples:\n  \
        miosa up                                        # a server for own use\n  \
        miosa sandbox create --template nextjs --wait\n  \
        miosa sandbox exec <id> -- npm run build\n  \
        printf '%s' \"$KEY\" | miosa connectors create anthropic --stdin"
)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    /// Print the version
    #[arg(short = 'v', long = "version", action = clap::ArgAction::Version)]
    version: (),
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Globals {
    /// Print JSON instead of text
    #[arg(long, global = true, env = "MIOSA_JSON", hide_env = true, value_parser = FalseyValueParser::new(), help_heading = "Global options")]
    pub json: bool,
    /// Say what is done, on standard error
    #[arg(long, global = true, env = "MIOSA_DEBUG", hide_env = true, value_parser = FalseyValueParser::new(), help_heading = "Global options")]
    pub debug: bool,
    /// Print results and errors only
    #[arg(long, global = true, env = "MIOSA_QUIET", hide_env = true, value_parser = FalseyValueParser::new(), help_heading = "Global options")]
    pub quiet: bool,
    /// Print no colours
    #[arg(long, global = true, env = "MIOSA_NO_COLOR", hide_env = true, value_parser = FalseyValueParser::new(), help_heading = "Global options")]
    pub no_color: bool,
    /// Tenant the command is about
    #[arg(
        long,
        global = true,
        env = "MIOSA_TENANT",
        hide_env = true,
        value_name = "SLUG_OR_ID",
        help_heading = "Global options"
    )]
    pub tenant: Option<String>,
    /// Workspace the command is about
    #[arg(
        long,
        global = true,
        env = "MIOSA_WORKSPACE",
        hide_env = true,
        value_name = "ID",
        help_heading = "Global options"
    )]
    pub workspace: Option<String>,
    /// Address of the server (also MIOSA_ENDPOINT, MIOSA_BASE_URL, MIOSA_API_URL)
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Global options"
    )]
    pub endpoint: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Create, use and end sandboxes
    #[command(subcommand, visible_alias = "sandboxes")]
    Sandbox(sandbox::Sandbox),
    /// Store credentials that sandboxes may use and never see
    #[command(subcommand, visible_alias = "provider")]
    Connectors(connectors::Connectors),
    /// Look at runs of agents
    #[command(subcommand)]
    Runs(runs::Runs),
    /// Manage templates
    #[command(subcommand)]
    Templates(templates::Templates),
    /// List the templates sandboxes are made from
    #[command(subcommand)]
    SandboxTemplates(templates::SandboxTemplates),
    /// See what sandboxes sent, and what was refused
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Answer sandboxes that ask before they act
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Try the security catalogue against this program
    #[command(subcommand)]
    Security(security::Security),
    /// Operate the server
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Let MCP clients (Claude Code, Codex, Gemini CLI, …) create and use sandboxes
    #[command(after_help = crate::mcp::EXAMPLES)]
    Mcp(crate::mcp::Mcp),
    /// Log in to a server
    #[command(after_help = login::EXAMPLES)]
    Login(login::Login),
    /// Forget the key of this machine
    #[command(after_help = "Examples:\n  miosa logout")]
    Logout,
    /// Show who is logged in
    #[command(after_help = "Examples:\n  miosa whoami --json")]
    Whoami(identity::Whoami),
    /// Read and change settings
    #[command(subcommand)]
    Config(config::Config),
    /// Keep settings of several servers
    #[command(subcommand)]
    Context(context::Context),
    /// Check endpoint, key and server
    #[command(after_help = "Examples:\n  miosa doctor")]
    Doctor,
    /// Show server, tenant and sandboxes in short
    #[command(after_help = "Examples:\n  miosa status --json")]
    Status,
    /// Show what the server can do
    #[command(after_help = "Examples:\n  miosa capabilities --json")]
    Capabilities,
    /// Start a server for own use
    #[command(after_help = up::EXAMPLES)]
    Up(up::Up),
    /// End the server that `miosa up` started, and its broker
    #[command(after_help = "Examples:\n  miosa down\n  miosa down --destroy")]
    Down(up::Down),
    /// Run the control plane of an operator's settings
    #[command(after_help = "Examples:\n  miosa server --config /etc/miosa/server.toml")]
    Server(Role),
    /// Run the egress broker: as a proxy of its own, or beside a server (which starts it)
    #[command(
        after_help = "Examples:\n  miosa egress --standalone --config /etc/miosa/egress.toml"
    )]
    Egress(Egress),
    /// Make keys on the server itself
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Print a completion script for a shell
    #[command(
        after_help = "Examples:\n  miosa completion bash > /etc/bash_completion.d/miosa\n  miosa completion zsh > ~/.zfunc/_miosa"
    )]
    Completion {
        /// Shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    #[command(after_help = "Examples:\n  miosa version --json")]
    Version,
}

/// Settings of a role.
#[derive(Args)]
struct Role {
    /// File with the settings
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Settings of the broker.
#[derive(Args)]
struct Egress {
    /// Without sandboxes: an HTTPS proxy for programs that trust its authority
    #[arg(long)]
    standalone: bool,
    /// File with the settings: a server's, or with --standalone the broker's own
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Parses the command line, runs the command, shows its error.
pub fn main() -> ExitCode {
    let mut cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_usage(&error),
    };
    settings::apply_defaults(&mut cli.globals);
    let printer = Printer {
        json: cli.globals.json,
        quiet: cli.globals.quiet,
        color: !cli.globals.no_color && std::env::var_os("NO_COLOR").is_none(),
        debug: cli.globals.debug,
    };
    run(cli, &printer).unwrap_or_else(|error| {
        printer.error(&error);
        error.exit_code()
    })
}

fn run(cli: Cli, printer: &Printer) -> Result<ExitCode> {
    let globals = cli.globals;
    match cli.command {
        Command::Completion { shell } => Ok(completion(shell, printer)),
        Command::Version => Ok(version(printer)),
        Command::Logout => login::logout(printer),
        Command::Up(args) => up::up(&args, printer),
        Command::Down(args) => up::down(&args, printer),
        Command::Server(args) => roles::server(&args.config),
        Command::Egress(args) if args.standalone => roles::egress_standalone(&args.config),
        Command::Egress(args) => roles::egress(&args.config),
        Command::Keys(command) => command.run(printer),
        Command::Connectors(connectors::Connectors::Validate(args)) => {
            connectors::validate(&args, printer)
        }
        Command::Security(command) => command.run(printer),
        Command::Config(command) => command.run(&globals, printer),
        Command::Context(command) => command.run(&globals, printer),
        command => runtime()?.block_on(speak(command, &globals, printer)),
    }
}

/// Commands that speak with a server.
async fn speak(command: Command, globals: &Globals, printer: &Printer) -> Result<ExitCode> {
    if let Command::Login(args) = command {
        return login::login(args, globals, printer).await;
    }
    let (settings, client) = settings::connect(globals)?;
    printer.debug(&format!(
        "endpoint {} ({}), key from {}",
        settings.endpoint.value,
        settings.endpoint.source,
        settings.key_source.as_deref().unwrap_or("nowhere"),
    ));
    match command {
        Command::Sandbox(command) => command.run(&settings, &client, printer).await,
        Command::Connectors(command) => command.run(&settings, &client, printer).await,
        Command::Runs(command) => command.run(&client, printer).await,
        Command::Templates(command) => command.run(&client, printer).await,
        Command::SandboxTemplates(command) => command.run(&client, printer).await,
        Command::Approvals(command) => command.run(&client, printer).await,
        Command::Audit(command) => command.run(&client, printer).await,
        Command::Admin(command) => command.run(&client, printer).await,
        Command::Mcp(args) => crate::mcp::serve(args, &settings, &client, printer).await,
        Command::Whoami(args) => identity::whoami(args, &settings, &client, printer).await,
        Command::Status => identity::status(&settings, &client, printer).await,
        Command::Capabilities => identity::capabilities(&client, printer).await,
        Command::Doctor => doctor::doctor(&settings, &client, printer).await,
        _ => unreachable!("all other commands are run without a client"),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::file(&error))
}

fn completion(shell: clap_complete::Shell, printer: &Printer) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "miosa", &mut script);
    printer.raw(&script);
    ExitCode::SUCCESS
}

fn version(printer: &Printer) -> ExitCode {
    let version = env!("CARGO_PKG_VERSION");
    printer.value(
        &serde_json::json!({"name": "miosa", "version": version}),
        View::Line(format!("miosa {version}")),
    );
    ExitCode::SUCCESS
}

/// Help and version are results; the rest is bad usage, in JSON when that was asked for.
fn refuse_usage(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    let printer = Printer {
        json: wants_json(std::env::args_os()),
        quiet: false,
        color: false,
        debug: false,
    };
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            printer.raw(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !printer.json => {
            printer.raw_error(text.as_bytes());
            return ExitCode::from(1);
        }
        _ => {}
    }
    if !printer.json {
        printer.raw_error(text.as_bytes());
        return ExitCode::from(1);
    }
    let sentence = text.split("\n\n").next().unwrap_or(&text);
    let sentence = sentence.trim_start_matches("error: ").trim();
    let error = CliError::usage(sentence).hint("add --help to the command to see its grammar");
    printer.error(&error);
    error.exit_code()
}

/// Whether JSON was asked for, read without the grammar that has just failed.
fn wants_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let falsey = ["", "0", "false", "no", "off", "n", "f"];
    let variable = std::env::var("MIOSA_JSON")
        .is_ok_and(|value| !falsey.contains(&value.to_ascii_lowercase().as_str()));
    variable
        || arguments
            .take_while(|argument| argument != "--")
            .any(|argument| argument == "--json")
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::Cli;

    #[test]
    fn the_grammar_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        fn walk(command: &Command, path: &str, missing: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            if command.get_about().is_none() {
                missing.push(format!("{path}: no sentence"));
            }
            let groups = command.get_subcommands().count() > 0;
            let help = command.get_after_help().map(ToString::to_string);
            if !groups && !help.unwrap_or_default().contains("miosa ") {
                missing.push(format!("{path}: no example"));
            }
            for child in command.get_subcommands() {
                walk(child, &path, missing);
            }
        }
        let mut missing = Vec::new();
        walk(&Cli::command(), "", &mut missing);
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
