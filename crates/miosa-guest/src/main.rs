//! The guest agent: pid 1 of every sandbox.
//!
//! One small static binary that serves the protocol of [`miosa_api::guest`] on a listening Unix
//! socket it inherits. It lives in the enemy's house: it holds no secret, and whatever runs in the
//! sandbox can at most end it, which ends the sandbox.
//!
//! Invariants:
//!
//! * one thread runs all async code (the blocking pool only touches files), so that starting a
//!   command and reaping it can be ordered by one lock, see [`reaper`];
//! * every command leads a session of its own and is signalled as a group;
//! * no descriptor of the agent but 0, 1 and 2 reaches a command, see [`sys`];
//! * nothing is buffered without a bound: a slow reader stops the command.
//!
//! Reading order: [`command`] (what to start), [`running`] (until it ends), then [`exec`]
//! (attached) and [`process`] (detached); [`files`], [`ports`] and [`relay`] stand alone.

mod agent;
mod blocking;
mod command;
mod exec;
mod failure;
mod files;
mod frames;
mod ports;
mod process;
mod reaper;
mod relay;
mod router;
mod running;
mod shutdown;
mod stream;
mod sys;
mod user;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use miosa_api::guest::RENEW_SSH_KEYS;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

use crate::agent::Agent;

/// Threads that may block on files at a time.
const FILE_THREADS_MAX: usize = 8;

fn main() -> ExitCode {
    match workdir(std::env::args_os().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("miosa-guest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The folder commands start in when they name none: `--workdir DIR`, else `/`.
fn workdir(mut args: impl Iterator<Item = std::ffi::OsString>) -> io::Result<PathBuf> {
    let Some(flag) = args.next() else {
        return Ok(PathBuf::from("/"));
    };
    match (flag.to_str(), args.next().map(PathBuf::from)) {
        (Some("--workdir"), Some(path)) if path.is_absolute() => Ok(path),
        _ => Err(io::Error::other(
            "usage: miosa-guest [--workdir /ABSOLUTE/DIR]",
        )),
    }
}

fn run(workdir: PathBuf) -> io::Result<()> {
    let listener = sys::become_init()?;
    fs_err::create_dir_all(&workdir)?;
    renew_ssh_keys();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(FILE_THREADS_MAX)
        .build()?
        .block_on(serve(listener, workdir))
}

/// Makes new SSH host keys in place of those that came with another sandbox's files. A sandbox whose
/// `ssh-keygen` fails runs without.
fn renew_ssh_keys() {
    if fs_err::remove_file(RENEW_SSH_KEYS).is_err() {
        return;
    }
    match std::process::Command::new("ssh-keygen").arg("-A").status() {
        Ok(status) if status.success() => {}
        Ok(status) => eprintln!("miosa-guest: ssh-keygen -A: {status}"),
        Err(error) => eprintln!("miosa-guest: ssh-keygen -A: {error}"),
    }
}

/// Serves until told to shut down.
async fn serve(listener: std::os::unix::net::UnixListener, workdir: PathBuf) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let reaper = reaper::start()?;
    let (shutdown, mut asked) = mpsc::channel(1);
    let agent = Arc::new(Agent::new(workdir, Arc::clone(&reaper), shutdown));
    let server = tokio::spawn(async move { axum::serve(listener, router::routes(agent)).await });
    tokio::select! {
        ended = server => ended.map_err(io::Error::other)?,
        Some(grace) = asked.recv() => {
            shutdown::end_all(&reaper, grace).await;
            Ok(())
        }
    }
}
