//! What all routes share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::process::Processes;
use crate::reaper::Reaper;

/// The state of the agent.
#[derive(Debug)]
pub struct Agent {
    /// Where a command starts that names no folder.
    pub workdir: PathBuf,
    /// Who starts and reaps commands.
    pub reaper: Arc<Reaper>,
    /// The detached commands.
    pub processes: Processes,
    /// Asks the main task to end everything after this grace.
    pub shutdown: mpsc::Sender<Duration>,
}

impl Agent {
    /// An agent that has started nothing.
    pub fn new(workdir: PathBuf, reaper: Arc<Reaper>, shutdown: mpsc::Sender<Duration>) -> Self {
        Self {
            workdir,
            reaper,
            processes: Processes::default(),
            shutdown,
        }
    }
}
