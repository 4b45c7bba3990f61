//! Calls of cargo.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs cargo with these arguments in the repository.
pub fn run(arguments: &[&str]) -> Result<()> {
    finish(&mut cargo(arguments), arguments)
}

/// The same, without the state of incremental builds: it is gigabytes that one build of
/// everything has no use for.
pub fn run_once(arguments: &[&str]) -> Result<()> {
    finish(cargo(arguments).env("CARGO_INCREMENTAL", "0"), arguments)
}

fn cargo(arguments: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::root());
    command
}

fn finish(command: &mut Command, arguments: &[&str]) -> Result<()> {
    let status = command.status().context("cannot start cargo")?;
    ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    Ok(())
}

/// Where cargo puts what it builds.
pub fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::root().join("target"), PathBuf::from)
}

/// Builds `miosa` and gives back where it is.
pub fn build_miosa() -> Result<PathBuf> {
    run(&["build", "--package", "miosa"])?;
    Ok(target_folder().join("debug/miosa"))
}

/// The same, optimised.
pub fn build_miosa_release() -> Result<PathBuf> {
    run(&["build", "--release", "--package", "miosa"])?;
    Ok(target_folder().join("release/miosa"))
}
