//! Detached commands: they outlive the request that started them, and their output is kept.

mod log;
mod routes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miosa_api::guest::{ExecStart, Exit, Process};
use miosa_api::limits::{PROCESS_COMMAND_BYTES_MAX, PROCESSES_MAX};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::command::{self, Input, NotStarted};
use crate::failure::Failure;
use crate::frames::Frame;
use crate::process::log::Log;
use crate::running::Running;

pub use routes::routes;

/// Frames between a command and its log.
const OUTPUT_FRAMES: usize = 4;

/// All detached commands that are remembered, by number (`p7` is 7).
#[derive(Debug, Default)]
pub struct Processes {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    last: u64,
    by_number: BTreeMap<u64, Arc<Detached>>,
}

/// One detached command.
#[derive(Debug)]
struct Detached {
    number: u64,
    /// 0 when it could not be started.
    pid: i32,
    name: Option<String>,
    command: String,
    started_at: i64,
    /// Output and end; whoever follows is woken by every change.
    record: watch::Sender<Record>,
}

#[derive(Debug, Default)]
struct Record {
    log: Log,
    exit: Option<Exit>,
}

impl Processes {
    /// Starts a detached command. One that could not be started is listed as ended, so that a
    /// caller finds message and exit code where it looks for those of any other.
    fn start(&self, agent: &Agent, start: &ExecStart) -> Result<Arc<Detached>, Failure> {
        let mut known = self.lock();
        known.make_room()?;
        let started = command::start(agent, start, Input::Nobody);
        known.last += 1;
        let number = known.last;
        let detached = Arc::new(Detached::new(number, start, &started));
        known.by_number.insert(number, Arc::clone(&detached));
        drop(known);
        match started {
            Ok(running) => drop(tokio::spawn(record(Arc::clone(&detached), running))),
            Err(refused) => {
                let (message, exit) = refused.outcome();
                detached.push(&message);
                detached.end(exit);
            }
        }
        Ok(detached)
    }

    fn get(&self, id: &str) -> Option<Arc<Detached>> {
        let number = id.strip_prefix('p')?.parse().ok()?;
        self.lock().by_number.get(&number).cloned()
    }

    fn list(&self) -> Vec<Process> {
        self.lock()
            .by_number
            .values()
            .map(|detached| detached.describe())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Forgets the oldest ended one when there are too many.
    fn make_room(&mut self) -> Result<(), Failure> {
        if self.by_number.len() < PROCESSES_MAX {
            return Ok(());
        }
        let ended = self
            .by_number
            .iter()
            .find(|(_, detached)| detached.has_ended());
        let number = ended.map(|(number, _)| *number).ok_or_else(|| {
            Failure::bad_request(format!(
                "{PROCESSES_MAX} detached commands are running already"
            ))
        })?;
        self.by_number.remove(&number);
        Ok(())
    }
}

impl Detached {
    fn new(number: u64, start: &ExecStart, started: &Result<Running, NotStarted>) -> Self {
        let mut command = match &start.argv[..] {
            [] => start.shell.clone().unwrap_or_default(),
            argv => argv.join(" "),
        };
        command.truncate(command.floor_char_boundary(PROCESS_COMMAND_BYTES_MAX));
        Self {
            number,
            pid: started.as_ref().map_or(0, |running| running.pid),
            name: start.name.clone(),
            command,
            started_at: crate::router::now(),
            record: watch::Sender::default(),
        }
    }

    fn describe(&self) -> Process {
        let record = self.record.borrow();
        Process {
            id: format!("p{}", self.number),
            pid: self.pid,
            name: self.name.clone(),
            command: self.command.clone(),
            started_at: self.started_at,
            exit: record.exit,
            output_bytes: record.log.end(),
        }
    }

    fn has_ended(&self) -> bool {
        self.record.borrow().exit.is_some()
    }

    fn push(&self, frame: &Frame) {
        self.record
            .send_modify(|record| record.log.push(&frame.logged()));
    }

    fn end(&self, exit: Exit) {
        self.record.send_modify(|record| record.exit = Some(exit));
    }
}

/// Keeps the output of a command until it has ended.
async fn record(detached: Arc<Detached>, running: Running) {
    let (out, mut frames) = mpsc::channel(OUTPUT_FRAMES);
    let supervised = tokio::spawn(running.supervise(out, CancellationToken::new()));
    while let Some(frame) = frames.recv().await {
        detached.push(&frame);
    }
    let broken = Exit {
        code: 255,
        signal: None,
        timed_out: false,
    };
    detached.end(supervised.await.unwrap_or(broken));
}
