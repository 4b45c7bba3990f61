//! Starts children and collects all that end.
//!
//! As pid 1 the agent inherits every orphan, so one loop waits for any child. A started command
//! is entered into the map under the same lock that the loop takes: one that ends at once is
//! still found there. Children that nobody started here are orphans and are reaped silently.

use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{WaitOptions, WaitStatus};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// How a child ended, as the kernel says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

/// The children that somebody waits for, by process id.
#[derive(Debug, Default)]
pub struct Reaper {
    waiting: Mutex<HashMap<i32, oneshot::Sender<Ended>>>,
}

/// Installs the handler for `SIGCHLD` and starts the loop.
pub fn start() -> io::Result<Arc<Reaper>> {
    let reaper = Arc::new(Reaper::default());
    let mut ended = signal(SignalKind::child())?;
    let own = Arc::clone(&reaper);
    tokio::spawn(async move {
        while ended.recv().await.is_some() {
            own.reap();
        }
    });
    Ok(reaper)
}

impl Reaper {
    /// Starts a command; the receiver gets its end.
    pub fn spawn(&self, command: &mut Command) -> io::Result<(Child, oneshot::Receiver<Ended>)> {
        let mut waiting = self.lock();
        let child = command.spawn()?;
        let (sender, receiver) = oneshot::channel();
        waiting.insert(child.id().cast_signed(), sender);
        Ok((child, receiver))
    }

    /// Collects all ended children; whether living ones remain.
    pub fn reap(&self) -> bool {
        let mut waiting = self.lock();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let sender = waiting.remove(&pid.as_raw_nonzero().get());
                    if let (Some(sender), Some(ended)) = (sender, ended(status)) {
                        // Nobody may wait any more.
                        let _ = sender.send(ended);
                    }
                }
                Ok(None) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Process ids of the commands that have not ended.
    pub fn running(&self) -> Vec<i32> {
        self.lock().keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, oneshot::Sender<Ended>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended(status: WaitStatus) -> Option<Ended> {
    status
        .exit_status()
        .map(Ended::Exited)
        .or_else(|| status.terminating_signal().map(Ended::Killed))
}
