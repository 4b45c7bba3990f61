//! Ending: the server by its pid file, the broker by its socket, sandboxes where that was asked for.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use miosa_api::broker::CONTROL_SOCKET;
use miosa_client::SandboxQuery;
use miosa_runtime::Runtime;
use miosa_server::Config;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::json;

use super::prepare::{self, Place};
use crate::cli::error::{CliError, Fault, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::settings::{self, ConfigFile};
use crate::roles;

/// How long a process may take to end after SIGTERM.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Name of the pid file in the run folder.
const PID_FILE: &str = "up.pid";

/// What else shall end.
#[derive(Debug, Args)]
pub struct Down {
    /// Destroy the sandboxes too
    #[arg(long)]
    destroy: bool,
}

/// The server's process id in a file, as long as it runs.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Writes it; refuses when another server of this folder lives.
    pub fn write(run_dir: &Path) -> Result<Self> {
        let path = run_dir.join(PID_FILE);
        if let Some(pid) = read_pid(&path) {
            return Err(CliError::user(
                "CLI_ALREADY_UP",
                format!(
                    "a server with process id {} uses this folder",
                    pid.as_raw_nonzero()
                ),
            )
            .hint("end it with `miosa down`"));
        }
        settings::write_private(&path, std::process::id().to_string().as_bytes())?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        drop(fs_err::remove_file(&self.0));
    }
}

/// The process of a pid file, if it lives and is one of ours.
fn read_pid(path: &Path) -> Option<Pid> {
    let text = fs_err::read_to_string(path).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    let command = fs_err::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
    let is_up = command.split(|byte| *byte == 0).any(|word| word == b"up");
    (is_up && pid.as_raw_nonzero().get().unsigned_abs() != std::process::id()).then_some(pid)
}

/// Ends the server and the broker of `miosa up`.
pub fn down(args: &Down, printer: &Printer) -> Result<ExitCode> {
    let home = settings::home()?;
    let file = home.join("server.toml");
    if !file.exists() {
        return Err(
            CliError::user("CLI_NOT_UP", "there is no server of `miosa up` here")
                .hint("`miosa up` starts one"),
        );
    }
    let config = roles::load(&file)?;
    roles::runtime()?.block_on(async {
        let server = read_pid(&config.run_dir.join(PID_FILE));
        if let Some(pid) = server {
            end_process(pid).await?;
        }
        let destroyed = if args.destroy {
            let place = Place::find()?;
            destroy_left(&config, &place).await?
        } else {
            0
        };
        let broker = end_broker(&config.run_dir).await?;
        let json = json!({"server": server.is_some(), "broker": broker, "destroyed": destroyed});
        let said = |ended: bool| if ended { "ended" } else { "was not running" };
        printer.value(
            &json,
            View::Fields(vec![
                ("server", said(server.is_some()).to_owned()),
                ("broker", said(broker).to_owned()),
                ("destroyed", destroyed.to_string()),
            ]),
        );
        if !args.destroy {
            printer
                .note("sandboxes that ran still run, without network; `miosa up` finds them again");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Ends the broker and everything on this host that the server left.
pub async fn clean(config: &Config, place: &Place) -> Result<()> {
    let swept = destroy_left(config, place).await;
    end_broker(&config.run_dir).await?;
    swept.map(drop)
}

/// Destroys every sandbox through the API, so that the database knows it too.
pub async fn destroy_all(endpoint: &str, printer: &Printer) {
    let destroy = async {
        let key = ConfigFile::load()?.get("api_key");
        let client = settings::client_with_key(endpoint, key)?;
        let query = SandboxQuery {
            page_size: Some(100),
            ..SandboxQuery::default()
        };
        loop {
            let sandboxes = client.sandboxes(&query).await?.data()?;
            let alive: Vec<String> = sandboxes
                .into_iter()
                .filter(|sandbox| sandbox.state.as_str() != "destroyed")
                .map(|sandbox| sandbox.id)
                .collect();
            if alive.is_empty() {
                return Ok::<(), CliError>(());
            }
            for id in &alive {
                client.delete_sandbox(id).await?;
            }
        }
    };
    // What is left is swept once the server has ended.
    if let Err(error) = destroy.await {
        printer.note(&format!(
            "sandboxes could not be destroyed in order: {}",
            error.message
        ));
    }
}

/// Destroys what the runtime finds on this host; how many there were.
async fn destroy_left(config: &Config, place: &Place) -> Result<usize> {
    let failed = |error: miosa_runtime::RuntimeError| {
        CliError::new(
            Fault::Server,
            "RUNTIME_FAILED",
            "what was left could not be destroyed",
        )
        .why(error.to_string())
    };
    let runtime = prepare::container(config, place).map_err(failed)?;
    let found = runtime.list().await.map_err(failed)?;
    for sandbox in &found {
        runtime.destroy(&sandbox.id).await.map_err(failed)?;
    }
    Ok(found.len())
}

/// Ends whoever listens on the broker's socket; whether somebody did.
async fn end_broker(run_dir: &Path) -> Result<bool> {
    let Ok(connection) = tokio::net::UnixStream::connect(run_dir.join(CONTROL_SOCKET)).await else {
        return Ok(false);
    };
    let peer = connection
        .peer_cred()
        .map_err(|error| CliError::file(&error))?;
    drop(connection);
    let Some(pid) = peer.pid().and_then(Pid::from_raw) else {
        return Ok(false);
    };
    end_process(pid).await?;
    Ok(true)
}

/// Asks a process to end, waits, and makes it.
async fn end_process(pid: Pid) -> Result<()> {
    if kill_process(pid, Signal::TERM).is_err() {
        return Ok(());
    }
    let until = Instant::now() + END_TIMEOUT;
    while test_kill_process(pid).is_ok() && !is_zombie(pid) {
        if Instant::now() > until {
            return kill_process(pid, Signal::KILL)
                .map_err(|error| CliError::file(&std::io::Error::from(error)));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// A dead process whose parent has not looked yet still answers signals.
fn is_zombie(pid: Pid) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    })
}

#[cfg(test)]
mod tests {
    use super::{PidFile, end_process, read_pid};

    #[tokio::test]
    async fn a_process_is_asked_to_end_and_has_ended() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        end_process(pid).await.unwrap();
        assert!(child.try_wait().unwrap().is_some());
    }

    #[test]
    fn a_pid_file_of_another_program_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("up.pid");
        fs_err::write(&path, "1").unwrap();
        assert_eq!(read_pid(&path), None);
        let held = PidFile::write(folder.path()).unwrap();
        assert!(path.exists());
        drop(held);
        assert!(!path.exists());
    }
}
