//! `miosa sandbox`: the grammar of all verbs; each file beside this one holds the verbs of one matter.

mod command;
mod connectors;
mod create;
mod doctor;
mod env;
mod exec;
mod files;
mod lifecycle;
mod list;
mod mcp;
mod narrow;
mod network;
mod policy;
mod preview;
mod prompt;
mod service;
mod snapshot;
mod transfer;
mod usage;
pub mod wait;
mod why;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use miosa_client::Client;

use crate::cli::error::Result;
use crate::cli::printer::Printer;
use crate::cli::settings::Settings;
use crate::cli::templates;

/// Which sandbox.
#[derive(Args)]
pub struct Id {
    /// Id of the sandbox
    id: String,
}

/// Verbs of sandboxes.
#[derive(Subcommand)]
pub enum Sandbox {
    /// List sandboxes
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  miosa sandbox list --state running"
    )]
    List(list::List),
    /// Show a sandbox, and with --port its preview
    #[command(after_help = "Examples:\n  miosa sandbox show <id> --port 3000 --json")]
    Show(list::Show),
    /// Show a sandbox
    #[command(after_help = "Examples:\n  miosa sandbox get <id> --json")]
    Get(Id),
    /// Create a sandbox
    #[command(after_help = create::EXAMPLES)]
    Create(Box<create::Create>),
    /// Destroy a sandbox with everything in it
    #[command(
        visible_alias = "rm",
        visible_alias = "destroy",
        after_help = "Examples:\n  miosa sandbox delete <id>"
    )]
    Delete(lifecycle::Delete),
    /// Pause or resume a sandbox
    #[command(after_help = "Examples:\n  miosa sandbox action <id> pause")]
    Action(lifecycle::Action),
    /// End a sandbox's processes and keep its disk
    #[command(after_help = "Examples:\n  miosa sandbox stop <id>")]
    Stop(lifecycle::Stop),
    /// Freeze a sandbox with its processes and memory
    #[command(after_help = "Examples:\n  miosa sandbox pause <id>")]
    Pause(Id),
    /// Let a paused or stopped sandbox go on
    #[command(after_help = "Examples:\n  miosa sandbox resume <id>")]
    Resume(Id),
    /// Give a sandbox more time
    #[command(after_help = "Examples:\n  miosa sandbox extend <id> --timeout 2h")]
    Extend(lifecycle::Extend),
    /// Attach credentials to a sandbox that never sees them
    #[command(subcommand, visible_alias = "providers")]
    Connectors(connectors::Connectors),
    /// Let an agent work on an instruction
    #[command(after_help = prompt::EXAMPLES)]
    Prompt(prompt::Prompt),
    /// The same under the API's words
    #[command(
        after_help = "Examples:\n  miosa sandbox run-agent <id> --runner codex --cwd /workspace -- \"fix the tests\""
    )]
    RunAgent(prompt::RunAgent),
    /// Run a command
    #[command(visible_alias = "run", after_help = exec::EXAMPLES)]
    Exec(exec::Exec),
    /// List listening ports
    #[command(after_help = "Examples:\n  miosa sandbox ports <id>")]
    Ports(Id),
    /// Show what a sandbox uses now
    #[command(after_help = "Examples:\n  miosa sandbox metrics <id> --window 1h")]
    Metrics(usage::Metrics),
    /// Show what a sandbox used so far
    #[command(after_help = "Examples:\n  miosa sandbox usage <id> --json")]
    Usage(Id),
    /// Show the last lines of a sandbox's log
    #[command(after_help = "Examples:\n  miosa sandbox logs <id> --lines 50")]
    Logs(usage::Logs),
    /// Make a port reachable from outside
    #[command(after_help = "Examples:\n  miosa sandbox preview <id> --port 3000 --wait")]
    Preview(preview::PreviewArgs),
    /// List ports that are reachable from outside
    #[command(after_help = "Examples:\n  miosa sandbox previews <id>")]
    Previews(Id),
    /// Make a port reachable from outside (port as an argument)
    #[command(after_help = "Examples:\n  miosa sandbox domain <id> 3000 --wait")]
    Domain(preview::Domain),
    /// Wait until a sandbox, or an application in it, answers
    #[command(after_help = "Examples:\n  miosa sandbox wait <id> --port 3000 --timeout 180 --json")]
    Wait(preview::Wait),
    /// Look at detached commands
    #[command(subcommand)]
    Command(command::Command),
    /// Change settings of a sandbox
    #[command(subcommand)]
    Config(policy::Config),
    /// See and change where a sandbox may go
    #[command(subcommand)]
    Network(network::Network),
    /// Say whether a request of a sandbox would pass, and why
    #[command(
        after_help = "Examples:\n  miosa sandbox why <id> https://api.anthropic.com/v1/messages --method POST"
    )]
    Why(why::Why),
    /// Show what attached connectors' MCP servers may be asked
    #[command(subcommand)]
    Mcp(mcp::Mcp),
    /// Run named long-lived programs
    #[command(subcommand)]
    Service(service::Service),
    /// Keep a sandbox's files and go back to them
    #[command(subcommand, visible_alias = "snapshots")]
    Snapshot(snapshot::Snapshot),
    /// Make a new sandbox of what another one is now
    #[command(after_help = snapshot::EXAMPLES)]
    Fork(snapshot::Fork),
    /// Read and change plain variables
    #[command(subcommand)]
    Env(env::Env),
    /// Check a sandbox and its application
    #[command(after_help = "Examples:\n  miosa sandbox doctor <id> --port 3000")]
    Doctor(doctor::Doctor),
    /// Find a sandbox again by name, id or the beginning of its id
    #[command(after_help = "Examples:\n  miosa sandbox recover my-app --port 3000")]
    Recover(doctor::Recover),
    /// Write a file from text, or from a file of this machine
    #[command(
        after_help = "Examples:\n  miosa sandbox write-file <id> /workspace/app/page.jsx ./page.jsx --json"
    )]
    WriteFile(files::WriteFile),
    /// Print a text file
    #[command(after_help = "Examples:\n  miosa sandbox read-file <id> /workspace/package.json")]
    ReadFile(files::ReadFile),
    /// Copy a file of this machine into a sandbox
    #[command(after_help = "Examples:\n  miosa sandbox upload <id> ./data.csv /workspace/data.csv")]
    Upload(files::Upload),
    /// Copy a file out of a sandbox
    #[command(
        after_help = "Examples:\n  miosa sandbox download <id> /workspace/out.zip --output out.zip"
    )]
    Download(files::Download),
    /// Copy a folder of this machine into a sandbox
    #[command(
        after_help = "Examples:\n  miosa sandbox upload-dir <id> ./app /workspace --exclude node_modules"
    )]
    UploadDir(transfer::UploadDir),
    /// Copy a folder of this machine into a sandbox (sandbox as a flag)
    #[command(
        after_help = "Examples:\n  miosa sandbox sync ./app /workspace --sandbox <id> --delete"
    )]
    Sync(transfer::Sync),
    /// Copy files and folders; a path in a sandbox is written <id>:<path>
    #[command(
        visible_alias = "copy",
        after_help = "Examples:\n  miosa sandbox cp ./app <id>:/workspace\n  miosa sandbox cp <id>:/workspace/out ./out"
    )]
    Cp(transfer::Cp),
    /// List the templates sandboxes are made from
    #[command(after_help = "Examples:\n  miosa sandbox templates")]
    Templates,
}

impl Sandbox {
    /// Runs the verb.
    pub async fn run(
        self,
        settings: &Settings,
        client: &Client,
        printer: &Printer,
    ) -> Result<ExitCode> {
        match self {
            Self::List(args) => list::list(args, client, printer).await,
            Self::Show(args) => list::show(args, client, printer).await,
            Self::Get(args) => list::get(args, client, printer).await,
            Self::Create(args) => create::create(*args, settings, client, printer).await,
            Self::Delete(args) => lifecycle::delete(args, client, printer).await,
            Self::Action(args) => lifecycle::action(args, client, printer).await,
            Self::Stop(args) => lifecycle::stop(args, client, printer).await,
            Self::Pause(args) => lifecycle::pause(args, client, printer).await,
            Self::Resume(args) => lifecycle::resume(args, client, printer).await,
            Self::Extend(args) => lifecycle::extend(args, client, printer).await,
            Self::Connectors(verb) => verb.run(client, printer).await,
            Self::Prompt(args) => prompt::prompt(args, client, printer).await,
            Self::RunAgent(args) => prompt::run_agent(args, client, printer).await,
            Self::Exec(args) => exec::exec(args, client, printer).await,
            Self::Ports(args) => usage::ports(args, client, printer).await,
            Self::Metrics(args) => usage::metrics(args, client, printer).await,
            Self::Usage(args) => usage::usage(args, client, printer).await,
            Self::Logs(args) => usage::logs(args, client, printer).await,
            Self::Preview(args) => preview::preview(args, client, printer).await,
            Self::Previews(args) => preview::previews(args, client, printer).await,
            Self::Domain(args) => preview::domain(args, client, printer).await,
            Self::Wait(args) => preview::wait(args, client, printer).await,
            Self::Command(verb) => verb.run(client, printer).await,
            Self::Config(verb) => verb.run(client, printer).await,
            Self::Network(verb) => verb.run(client, printer).await,
            Self::Why(args) => why::why(args, client, printer).await,
            Self::Mcp(verb) => verb.run(client, printer).await,
            Self::Service(verb) => verb.run(client, printer).await,
            Self::Snapshot(verb) => verb.run(client, printer).await,
            Self::Fork(args) => snapshot::fork(args, client, printer).await,
            Self::Env(verb) => verb.run(client, printer).await,
            Self::Doctor(args) => doctor::doctor(args, settings, client, printer).await,
            Self::Recover(args) => doctor::recover(args, client, printer).await,
            Self::WriteFile(args) => files::write_file(args, client, printer).await,
            Self::ReadFile(args) => files::read_file(args, client, printer).await,
            Self::Upload(args) => files::upload(args, client, printer).await,
            Self::Download(args) => files::download(args, client, printer).await,
            Self::UploadDir(args) => transfer::upload_dir(args, client, printer).await,
            Self::Sync(args) => transfer::sync(args, client, printer).await,
            Self::Cp(args) => transfer::cp(args, client, printer).await,
            Self::Templates => templates::list_all(false, client, printer).await,
        }
    }
}
