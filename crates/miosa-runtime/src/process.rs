//! Processes of earlier servers: a pid alone may have been given to somebody else.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal};
use serde::{Deserialize, Serialize};

/// A process that cannot be taken for a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Its number.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot.
    pub(crate) start_time: u64,
}

impl ProcessId {
    /// The process that has this number now.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        let pid = pid.as_raw_nonzero().get();
        let (_, start_time) = stat(pid)?;
        Some(Self { pid, start_time })
    }

    /// Whether it runs (a zombie does not).
    pub(crate) fn alive(&self) -> bool {
        stat(self.pid)
            .is_some_and(|(state, start)| start == self.start_time && !matches!(state, 'Z' | 'X'))
    }

    /// A descriptor of it while it runs.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        let fd =
            rustix::process::pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::NONBLOCK).ok()?;
        self.alive().then_some(fd)
    }

    /// Sends a signal; does nothing when it has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(fd) = self.open()
            && let Err(error) = rustix::process::pidfd_send_signal(fd, signal)
        {
            tracing::debug!(pid = self.pid, %error, "process ended before its signal");
        }
    }
}

/// State letter and start time from `/proc/<pid>/stat`; the name in it may hold anything.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_start_time_is_another_process() {
        let own = ProcessId::of(rustix::process::getpid()).expect("own process");
        assert!(own.alive());
        let other = ProcessId {
            start_time: own.start_time + 1,
            ..own
        };
        assert!(!other.alive());
        assert!(other.open().is_none());
    }
}
