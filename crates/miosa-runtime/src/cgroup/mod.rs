//! Control groups: limits, freezing, killing and counting all processes of a sandbox.
//!
//! Two drivers behind one trait: [`unified::Unified`] for a v2 tree with controllers, and
//! [`hybrid::Hybrid`] for v1 hierarchies, which uses a v2 tree without controllers for freezing and
//! killing where there is one.

mod hybrid;
mod mounts;
mod unified;

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::RuntimeError;
use crate::runtime::Usage;

/// Folder of all groups below the root of a hierarchy.
pub(crate) const PARENT: &str = "miosa";
/// How long killed processes may take to leave a group.
const EMPTY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a group is looked at meanwhile.
const EMPTY_POLL: Duration = Duration::from_millis(2);
/// Length of a period of CPU time, in microseconds.
const CPU_PERIOD_USEC: u64 = 100_000;

/// Limits of one group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Bytes of memory.
    pub(crate) memory_bytes: u64,
    /// Microseconds of CPU time in [`CPU_PERIOD_USEC`].
    pub(crate) cpu_quota_usec: u64,
    /// Processes and threads.
    pub(crate) pids: u64,
}

impl Limits {
    /// Limits of the usual units.
    pub(crate) fn new(memory_mb: u32, cpu_count: u32, pids: u32) -> Self {
        Self {
            memory_bytes: u64::from(memory_mb) * 1024 * 1024,
            cpu_quota_usec: u64::from(cpu_count) * CPU_PERIOD_USEC,
            pids: u64::from(pids),
        }
    }
}

/// A way to group processes. Groups are named by a path below the root of the hierarchies.
pub(crate) trait Driver: Send + Sync {
    /// Makes the group with its limits.
    fn create(&self, group: &str, limits: Limits) -> io::Result<()>;
    /// The folder to clone a process into, where the kernel can.
    fn clone_target(&self, group: &str) -> Option<OwnedFd>;
    /// Puts a process into the group.
    fn add(&self, group: &str, pid: i32) -> io::Result<()>;
    /// Freezes or thaws all its processes; returns once they are.
    fn freeze(&self, group: &str, frozen: bool) -> io::Result<()>;
    /// Whether they are frozen.
    fn frozen(&self, group: &str) -> bool;
    /// Kills all its processes, frozen ones too. Fine when there is no group.
    fn kill(&self, group: &str) -> io::Result<()>;
    /// Removes the group once it is empty. Fine when there is none.
    fn remove(&self, group: &str) -> io::Result<()>;
    /// What it uses.
    fn usage(&self, group: &str) -> io::Result<Usage>;
    /// Whether there is such a group.
    fn exists(&self, group: &str) -> bool;
}

/// The driver for this host.
pub(crate) fn detect() -> Result<Box<dyn Driver>, RuntimeError> {
    let mounts = mounts::Mounts::read().map_err(|source| RuntimeError::Io {
        step: "reading the table of mounts".to_owned(),
        source,
    })?;
    if let Some(unified) = unified::Unified::find(&mounts) {
        return Ok(Box::new(unified));
    }
    match hybrid::Hybrid::find(&mounts) {
        Some(hybrid) => Ok(Box::new(hybrid)),
        None => Err(RuntimeError::Unavailable {
            what: "no control groups for memory, pids and cpu that this process may write"
                .to_owned(),
            hint: "mount cgroup2 on /sys/fs/cgroup, or let the service manager delegate a group \
                   (systemd: Delegate=yes)"
                .to_owned(),
        }),
    }
}

/// Writes a control file.
fn write(dir: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    let mut file = fs_err::OpenOptions::new()
        .write(true)
        .open(dir.join(file))?;
    file.write_all(value.to_string().as_bytes())
}

/// A control file with one number; 0 when it cannot be read.
fn number(dir: &Path, file: &str) -> u64 {
    fs_err::read_to_string(dir.join(file))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// One number of a control file of `key value` lines; 0 when absent.
fn keyed(dir: &Path, file: &str, key: &str) -> u64 {
    let text = fs_err::read_to_string(dir.join(file)).unwrap_or_default();
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0)
}

/// Waits until `done` holds.
fn wait_until(what: &str, mut done: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let start = Instant::now();
    while !done()? {
        if start.elapsed() > EMPTY_TIMEOUT {
            return Err(io::Error::new(io::ErrorKind::TimedOut, what.to_owned()));
        }
        std::thread::sleep(EMPTY_POLL);
    }
    Ok(())
}

/// Removes a group's folder, waiting for processes that are on their way out.
fn remove_when_empty(dir: &Path) -> io::Result<()> {
    wait_until(
        "processes stay in the control group",
        || match fs_err::remove_dir(dir) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
            Err(error) => Err(error),
        },
    )
}
