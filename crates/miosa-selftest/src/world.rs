//! A real `miosa up` in a folder of its own, and the CLI pointed at it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::leftover;

/// How long `miosa up` may take until it answers.
const UP_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to end, with all its sandboxes.
const DOWN_TIMEOUT: Duration = Duration::from_secs(60);

/// What a world is made of.
#[derive(Clone)]
pub struct Settings {
    /// The `miosa` program.
    pub program: PathBuf,
    /// Folder that outlives the world: built template layers, npm packages.
    pub cache: PathBuf,
    /// More flags for `miosa up`.
    pub flags: Vec<String>,
    /// More variables of it.
    pub environment: Vec<(String, String)>,
}

impl Settings {
    /// A world of this program, without flags.
    #[must_use]
    pub const fn new(program: PathBuf, cache: PathBuf) -> Self {
        Self {
            program,
            cache,
            flags: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// A running server with its CLI.
pub struct World {
    folder: TempDir,
    settings: Settings,
    server: Child,
}

/// An empty folder for a world, short enough for Unix sockets below it.
pub fn folder() -> Result<TempDir> {
    Ok(tempfile::Builder::new()
        .prefix("miosa-")
        .tempdir_in("/tmp")?)
}

impl World {
    /// Starts `miosa up --ephemeral` with everything below `folder`.
    pub async fn start(folder: TempDir, settings: &Settings) -> Result<Self> {
        let layers = settings.cache.join("layers");
        fs_err::create_dir_all(&layers)?;
        fs_err::create_dir_all(folder.path().join(".miosa/data"))?;
        fs_err::os::unix::fs::symlink(&layers, folder.path().join(".miosa/data/layers"))?;
        let server = spawn(folder.path(), settings)?;
        let mut world = Self {
            folder,
            settings: settings.clone(),
            server,
        };
        world.wait_until_up().await?;
        Ok(world)
    }

    /// Kills the server alone, as a crash would: what it started goes on.
    pub async fn kill_server(&mut self) -> Result<()> {
        self.server.kill().await.context("the server is not killed")
    }

    /// Starts a server in the same folder with the same flags, after [`World::kill_server`].
    pub async fn start_server(&mut self) -> Result<()> {
        self.server = spawn(self.folder.path(), &self.settings)?;
        self.wait_until_up().await
    }

    async fn wait_until_up(&mut self) -> Result<()> {
        let deadline = tokio::time::Instant::now() + UP_TIMEOUT;
        loop {
            if let Some(status) = self.server.try_wait()? {
                bail!("`miosa up` ended with {status}:\n{}", self.log());
            }
            if self.folder.path().join(".miosa/config.json").exists()
                && self.run(&["whoami", "--json"]).await?.status.success()
            {
                return Ok(());
            }
            ensure!(
                tokio::time::Instant::now() < deadline,
                "`miosa up` does not answer:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Folder of this world; also the CLI's home.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Process id of the server.
    #[must_use]
    pub fn server_pid(&self) -> Option<u32> {
        self.server.id()
    }

    /// Output of the server so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// A CLI call to be shaped further.
    #[must_use]
    pub fn command(&self) -> Command {
        command(&self.settings.program, self.folder.path())
    }

    /// Runs the CLI.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command().args(arguments).output().await?)
    }

    /// Runs the CLI and reads its JSON; an exit code other than 0 is an error with both outputs.
    pub async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.run(arguments).await?;
        ensure!(
            output.status.success(),
            "`miosa {}` ended with {}: {}{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "`miosa {}` printed no JSON: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stdout)
            )
        })
    }

    /// Runs the CLI with text on its standard input and reads its JSON.
    pub async fn json_with_stdin(&self, arguments: &[&str], text: &str) -> Result<Value> {
        use tokio::io::AsyncWriteExt as _;
        let mut child = self
            .command()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("no standard input")?
            .write_all(text.as_bytes())
            .await?;
        let output = child.wait_with_output().await?;
        ensure!(
            output.status.success(),
            "`miosa {}` ended with {}: {}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stdout)
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Runs a shell text in a sandbox and gives back what `exec --json` prints, whatever its exit code.
    pub async fn exec(&self, sandbox: &str, text: &str) -> Result<Value> {
        let output = self
            .run(&["sandbox", "exec", sandbox, "--json", "--cmd", text])
            .await?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "exec of `{text}`: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// Ends the server and gives back what is left of it on this machine.
    pub async fn end(mut self) -> Result<Vec<String>> {
        if let Some(pid) = self
            .server
            .id()
            .and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()))
        {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        }
        tokio::time::timeout(DOWN_TIMEOUT, self.server.wait())
            .await
            .context("`miosa up` does not end")??;
        Ok(leftover::find(self.folder.path()))
    }
}

fn spawn(folder: &Path, settings: &Settings) -> Result<Child> {
    let log = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("server.log"))?;
    command(&settings.program, folder)
        .args(["up", "--ephemeral", "--listen", "127.0.0.1:0"])
        .arg("--run-dir")
        .arg(folder.join("run"))
        .args(&settings.flags)
        .envs(settings.environment.clone())
        .stdout(log.file().try_clone()?)
        .stderr(log.into_parts().0)
        .spawn()
        .context("cannot start `miosa up`")
}

fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MIOSA_")) {
        command.env_remove(name);
    }
    command
        .env("HOME", home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}
