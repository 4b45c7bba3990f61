//! From [`ExecStart`] to a started command.

mod environment;
mod program;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use miosa_api::guest::{ExecStart, Resize, frame};
use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;

use crate::agent::Agent;
use crate::running::Running;
use crate::stream::Stream;
use crate::sys::{self, ChildSetup};
use crate::user::Account;

/// A command that could not be started: how a shell would say so.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotStarted {
    /// 127: no such program; 126: anything else.
    pub code: i32,
    /// For standard error.
    pub message: String,
}

impl NotStarted {
    /// There is such a program, but it may or can not run so.
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            code: 126,
            message: message.into(),
        }
    }

    /// There is no such program.
    pub fn not_found(name: &str) -> Self {
        Self {
            code: 127,
            message: format!("{name}: command not found"),
        }
    }
}

/// Where a command's input comes from when the caller gave no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// From the caller, later.
    Caller,
    /// From nobody: it is at its end.
    Nobody,
}

/// Starts the command.
pub fn start(agent: &Agent, start: &ExecStart, input: Input) -> Result<Running, NotStarted> {
    let account = Account::of(start)?;
    let cwd = cwd(start, &agent.workdir)?;
    let environment = environment::of(start, &account);
    let program = program::of(start, &environment, &cwd)?;
    let given = given_input(start)?;

    let mut command = Command::new(&program.path);
    command
        .arg0(&program.name)
        .args(&program.args)
        .current_dir(&cwd);
    command.env_clear().envs(&environment);
    sys::prepare(
        &mut command,
        ChildSetup {
            terminal: start.tty.is_some(),
            identity: start.user.as_ref().map(|_| account.identity()),
            keep: program.script.as_ref().map(AsRawFd::as_raw_fd),
        },
    );
    let has_input = input == Input::Caller || given.is_some();
    let ends = Ends {
        tty: start.tty,
        owner: account.uid,
        has_input,
    };
    let mut running = ends
        .spawn(command, agent)
        .map_err(|error| NotStarted::refused(format!("{}: {error}", program.name)))?;
    running.given = given;
    running.timeout = start.timeout_ms.map(Duration::from_millis);
    Ok(running)
}

fn cwd(start: &ExecStart, workdir: &Path) -> Result<PathBuf, NotStarted> {
    let cwd = start.cwd.as_deref().map_or(workdir, Path::new);
    if !cwd.is_absolute() {
        return Err(NotStarted::refused(format!(
            "{}: not an absolute path",
            cwd.display()
        )));
    }
    match fs_err::metadata(cwd) {
        Ok(found) if found.is_dir() => Ok(cwd.to_owned()),
        Ok(_) => Err(NotStarted::refused(format!(
            "{}: not a directory",
            cwd.display()
        ))),
        Err(error) => Err(NotStarted::refused(format!("working directory: {error}"))),
    }
}

fn given_input(start: &ExecStart) -> Result<Option<Bytes>, NotStarted> {
    let Some(text) = &start.stdin_base64 else {
        return Ok(None);
    };
    let bytes = STANDARD.decode(text);
    let bytes = bytes.map_err(|error| NotStarted::refused(format!("stdin_base64: {error}")))?;
    Ok(Some(bytes.into()))
}

/// How the command's descriptors are connected.
struct Ends {
    tty: Option<Resize>,
    owner: u32,
    has_input: bool,
}

impl Ends {
    fn spawn(&self, command: Command, agent: &Agent) -> io::Result<Running> {
        match self.tty {
            Some(size) => self.spawn_on_terminal(command, size, agent),
            None => self.spawn_on_pipes(command, agent),
        }
    }

    fn spawn_on_pipes(&self, mut command: Command, agent: &Agent) -> io::Result<Running> {
        command.stdin(if self.has_input {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut child, ended) = agent.reaper.spawn(&mut command)?;
        let outputs = [
            (frame::STDOUT, child.stdout.take().map(OwnedFd::from)),
            (frame::STDERR, child.stderr.take().map(OwnedFd::from)),
        ];
        let mut running = Running::new(child.id().cast_signed(), ended);
        for (kind, fd) in outputs {
            let fd = fd.expect("both were asked to be pipes");
            running.outputs.push((kind, Stream::pipe(fd)?));
        }
        running.stdin = child.stdin.take().map(Stream::pipe).transpose()?;
        Ok(running)
    }

    fn spawn_on_terminal(
        &self,
        mut command: Command,
        size: Resize,
        agent: &Agent,
    ) -> io::Result<Running> {
        let (master, slave) = open_terminal(self.owner)?;
        let master = Stream::terminal(master)?;
        master.resize(size)?;
        command
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(slave);
        let (child, ended) = agent.reaper.spawn(&mut command)?;
        let mut running = Running::new(child.id().cast_signed(), ended);
        running.outputs.push((frame::STDOUT, master.clone()));
        running.terminal = Some(master.clone());
        running.stdin = Some(master);
        Ok(running)
    }
}

/// Master and slave of a new terminal that belongs to the command's user.
fn open_terminal(owner: u32) -> io::Result<(OwnedFd, File)> {
    let master =
        rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let name = rustix::pty::ptsname(&master, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = rustix::fs::open(name, flags, rustix::fs::Mode::empty())?;
    rustix::fs::fchown(&slave, Some(rustix::fs::Uid::from_raw(owner)), None)?;
    Ok((master, slave.into()))
}
