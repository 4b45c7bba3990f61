//! The file: one thread appends, in batches.

use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fs_err::{File, OpenOptions};
use miosa_api::limits::AUDIT_QUEUE_MAX;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::EgressError;

/// Lines of one write.
const BATCH_LINES_MAX: usize = 512;

struct Line {
    bytes: Vec<u8>,
    written: Option<oneshot::Sender<bool>>,
}

/// Handle of the audit file. Cheap to clone; the writer ends when the last one is gone.
#[derive(Clone)]
pub struct AuditLog {
    queue: mpsc::Sender<Line>,
    healthy: Arc<AtomicBool>,
}

impl AuditLog {
    /// Opens `path` and starts the writer.
    pub fn open(path: &Path) -> Result<(Self, JoinHandle<()>), EgressError> {
        let file = open_file(path).map_err(|source| EgressError::Audit {
            path: path.to_owned(),
            source,
        })?;
        let healthy = Arc::new(AtomicBool::new(true));
        let (queue, lines) = mpsc::channel(AUDIT_QUEUE_MAX);
        let mut writer = Writer {
            path: path.to_owned(),
            file: Some(file),
            torn: false,
            healthy: Arc::clone(&healthy),
        };
        let task = tokio::task::spawn_blocking(move || writer.run(lines));
        Ok((Self { queue, healthy }, task))
    }

    /// Whether the last write went well.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// Waits until the queue has room: no work is begun that could not be written down.
    pub async fn has_room(&self) {
        drop(self.queue.reserve().await);
    }

    /// Appends a line and waits until the system has it. Says whether it has.
    pub async fn append_now(&self, bytes: Vec<u8>) -> bool {
        let (written, answer) = oneshot::channel();
        let line = Line {
            bytes,
            written: Some(written),
        };
        self.queue.send(line).await.is_ok() && answer.await.unwrap_or(false)
    }

    /// Appends a line soon.
    pub fn append(&self, bytes: Vec<u8>) {
        let line = Line {
            bytes,
            written: None,
        };
        let Err(mpsc::error::TrySendError::Full(line)) = self.queue.try_send(line) else {
            return;
        };
        // Bounded all the same: only work that was let in by `has_room` comes to its end here.
        let queue = self.queue.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { queue.send(line).await.ok() });
        }
    }
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    torn: bool,
    healthy: Arc<AtomicBool>,
}

impl Writer {
    fn run(&mut self, mut lines: mpsc::Receiver<Line>) {
        let mut batch = Vec::new();
        while let Some(first) = lines.blocking_recv() {
            batch.push(first);
            while batch.len() < BATCH_LINES_MAX
                && let Ok(line) = lines.try_recv()
            {
                batch.push(line);
            }
            let is_written = self.write(&batch);
            for line in batch.drain(..) {
                if let Some(written) = line.written {
                    // The asker may be gone.
                    written.send(is_written).ok();
                }
            }
        }
    }

    fn write(&mut self, batch: &[Line]) -> bool {
        let mut bytes = Vec::new();
        if self.torn {
            bytes.push(b'\n');
        }
        for line in batch {
            bytes.extend_from_slice(&line.bytes);
            bytes.push(b'\n');
        }
        let result = self
            .current_file()
            .and_then(|mut file| file.write_all(&bytes));
        if let Err(error) = &result {
            tracing::error!(%error, lines = batch.len(), "audit events could not be written");
            self.file = None;
        }
        self.torn = result.is_err();
        self.healthy.store(result.is_ok(), Ordering::Relaxed);
        result.is_ok()
    }

    /// The file at the path: opened again when it was moved away or removed.
    fn current_file(&mut self) -> io::Result<&File> {
        let is_same = match (&self.file, fs_err::metadata(&self.path)) {
            (Some(file), Ok(at_path)) => {
                let open = file.metadata()?;
                open.ino() == at_path.ino() && open.dev() == at_path.dev()
            }
            _ => false,
        };
        if !is_same {
            self.file = Some(open_file(&self.path)?);
        }
        self.file
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options.options_mut().mode(0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_survive_rotation() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("audit/egress.jsonl");
        let (log, writer) = AuditLog::open(&path).expect("a log");
        assert!(log.append_now(b"{\"n\":1}".to_vec()).await);
        fs_err::rename(&path, dir.path().join("old")).expect("rotate");
        assert!(log.append_now(b"{\"n\":2}".to_vec()).await);
        log.append(b"{\"n\":3}".to_vec());
        drop(log);
        writer.await.expect("the writer ends");
        assert_eq!(
            fs_err::read_to_string(dir.path().join("old")).expect("old"),
            "{\"n\":1}\n"
        );
        assert_eq!(
            fs_err::read_to_string(&path).expect("new"),
            "{\"n\":2}\n{\"n\":3}\n"
        );
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_known() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, _writer) = AuditLog::open(&path).expect("a log");
        fs_err::remove_file(&path).expect("remove");
        fs_err::create_dir(&path).expect("in its place");
        assert!(!log.append_now(b"{}".to_vec()).await);
        assert!(!log.is_healthy());
        fs_err::remove_dir(&path).expect("remove");
        assert!(log.append_now(b"{}".to_vec()).await);
        assert!(log.is_healthy());
    }
}
