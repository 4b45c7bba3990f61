//! What a build says while it runs: a file of JSON lines that can be read from the start at any time
//! and followed to the end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::{now_ms, rfc3339};

/// Longest line kept, in bytes.
const LINE_BYTES_MAX: usize = 4096;
/// Lines kept; what a build says after them is dropped.
const LINES_MAX: usize = 50_000;
/// Lines of output that go with a failure.
const TAIL_LINES: usize = 50;

/// One line of progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BuildEvent {
    /// Counts up within the build, from 1; the SSE `id`.
    pub id: u64,
    /// `build.started`, `layer.started`, `layer.cached`, `layer.finished`, `output`, `build.finished` or `build.failed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One line for people.
    pub message: String,
    /// When (RFC 3339).
    pub created_at: String,
}

/// Writes a build's log.
#[derive(Debug)]
pub struct Log {
    file: Mutex<State>,
    /// Lines written; `u64::MAX` once nothing more comes.
    lines: watch::Sender<u64>,
    path: PathBuf,
}

#[derive(Debug)]
struct State {
    file: fs_err::File,
    written: u64,
    tail: std::collections::VecDeque<String>,
}

/// Marks a log that has ended.
const ENDED: u64 = u64::MAX;

impl Log {
    /// Begins the log of a build.
    pub fn create(dir: &Path, build_id: &str) -> std::io::Result<Self> {
        fs_err::create_dir_all(dir)?;
        let path = path(dir, build_id);
        let state = State {
            file: fs_err::File::create(&path)?,
            written: 0,
            tail: Default::default(),
        };
        Ok(Self {
            file: Mutex::new(state),
            lines: watch::Sender::new(0),
            path,
        })
    }

    /// Adds a line. A log that cannot be written does not fail its build.
    pub fn add(&self, kind: &str, message: &str) {
        let mut state = self.file.lock().expect("no panic while the lock is held");
        if state.written as usize >= LINES_MAX && kind == OUTPUT {
            return;
        }
        let message = cut(message);
        if kind == OUTPUT {
            if state.tail.len() == TAIL_LINES {
                state.tail.pop_front();
            }
            state.tail.push_back(message.to_owned());
        }
        let event = BuildEvent {
            id: state.written + 1,
            kind: kind.to_owned(),
            message: message.to_owned(),
            created_at: rfc3339(now_ms()),
        };
        let line = serde_json::to_string(&event).unwrap_or_default() + "\n";
        if let Err(error) = state.file.write_all(line.as_bytes()) {
            tracing::warn!(%error, "a line of a build's log was lost");
            return;
        }
        state.written += 1;
        self.lines.send_replace(state.written);
    }

    /// The last lines of output.
    #[must_use]
    pub fn tail(&self) -> Vec<String> {
        self.file
            .lock()
            .expect("no panic while the lock is held")
            .tail
            .iter()
            .cloned()
            .collect()
    }

    /// Tells followers that nothing more comes.
    pub fn end(&self) {
        self.lines.send_replace(ENDED);
    }

    /// Resolves when there are more than `seen` lines, or none will come: then `false`.
    pub async fn more(&self, seen: u64) -> bool {
        let mut lines = self.lines.subscribe();
        match lines.wait_for(|written| *written > seen).await {
            Ok(written) => *written != ENDED,
            Err(_) => false,
        }
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

const OUTPUT: &str = "output";

/// Where a build's log is.
#[must_use]
pub fn path(dir: &Path, build_id: &str) -> PathBuf {
    dir.join(format!("{build_id}.jsonl"))
}

/// Events of a log after an id. A log that is not there has none; a line half written comes next time.
#[must_use]
pub fn read(path: &Path, after: u64) -> Vec<BuildEvent> {
    let text = fs_err::read_to_string(path).unwrap_or_default();
    text.lines()
        .skip(usize::try_from(after).unwrap_or(usize::MAX))
        .map_while(|line| serde_json::from_str(line).ok())
        .collect()
}

fn cut(text: &str) -> &str {
    let text = text.trim_end();
    &text[..text.floor_char_boundary(LINE_BYTES_MAX)]
}

/// Takes output of what is being built.
#[derive(Debug, Clone)]
pub struct Told(Arc<Log>);

impl Told {
    /// Writes into this log.
    #[must_use]
    pub fn new(log: Arc<Log>) -> Self {
        Self(log)
    }

    /// One line of output.
    pub fn line(&self, text: &str) {
        if !text.trim().is_empty() {
            self.0.add(OUTPUT, text);
        }
    }

    /// One event.
    pub fn event(&self, kind: &str, message: &str) {
        self.0.add(kind, message);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Log, TAIL_LINES, Told, read};

    #[tokio::test]
    async fn a_log_is_read_from_any_line_and_followed_to_its_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = Arc::new(Log::create(dir.path(), "b1").expect("a file"));
        let told = Told::new(log.clone());
        told.event("build.started", "x");
        told.line("  ");
        for n in 0..60 {
            told.line(&format!("line {n}"));
        }
        assert!(log.more(0).await);
        let events = read(log.path(), 1);
        assert_eq!(events.len(), 60);
        assert_eq!((events[0].id, events[0].message.as_str()), (2, "line 0"));
        assert_eq!(log.tail().len(), TAIL_LINES);
        assert_eq!(log.tail()[TAIL_LINES - 1], "line 59");
        let follower = tokio::spawn({
            let log = log.clone();
            async move { log.more(61).await }
        });
        log.end();
        assert!(!follower.await.expect("ends"));
    }
}
