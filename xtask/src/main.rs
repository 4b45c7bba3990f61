//! The project's own commands, reached through `./x`.

mod bench;
mod cargo;
mod demo;
mod test;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The commands of the project.
#[derive(Parser)]
#[command(name = "x", about = "Build, show, test and measure miosa")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Perform the main job with the real program, step by step.
    Demo {
        /// One summary object instead of sentences.
        #[arg(long)]
        json: bool,
    },
    /// Figures beside crun, bubblewrap, Docker, nginx and mitmproxy.
    Bench {
        /// Measure this program instead of a release build of this tree.
        #[arg(long)]
        program: Option<PathBuf>,
        /// One part alone.
        #[arg(long)]
        only: Option<bench::Part>,
    },
    /// Format, and all tests with real parts.
    Test,
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Demo { json } => demo::run(json),
        Task::Bench { program, only } => bench::run(program, only),
        Task::Test => test::run(),
    }
}

/// Folder of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Folder that outlives runs: template layers, npm packages.
fn cache() -> PathBuf {
    cargo::target_folder().join("cache")
}
