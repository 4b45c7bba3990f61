//! The file, appended to by whoever has something to write down: a write to it costs less than waking
//! another thread to do it.
//!
//! INVARIANT: lines get their order in one place, [`Pending::push`], and reach the file in it.

use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fs_err::{File, OpenOptions};
use miosa_api::limits::AUDIT_PENDING_BYTES_MAX;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::EgressError;

/// How long a line that nobody waits for may stay in memory.
const PENDING_MAX: Duration = Duration::from_millis(20);

/// Handle of the audit file. Cheap to clone; the task that writes what nobody waits for ends when the
/// last one is gone.
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
    has_pending: mpsc::Sender<()>,
}

struct Shared {
    writer: Mutex<Writer>,
    healthy: AtomicBool,
}

struct Writer {
    path: PathBuf,
    file: Option<Opened>,
    pending: Pending,
    torn: bool,
}

struct Opened {
    file: File,
    identity: (u64, u64),
}

/// Lines in their order, not in the file yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    lines: usize,
}

impl AuditLog {
    /// Opens `path`, and starts the task that writes what nobody waits for.
    pub fn open(path: &Path) -> Result<(Self, JoinHandle<()>), EgressError> {
        let file = open_file(path).map_err(|source| EgressError::Audit {
            path: path.to_owned(),
            source,
        })?;
        let shared = Arc::new(Shared {
            writer: Mutex::new(Writer {
                path: path.to_owned(),
                file: Some(file),
                pending: Pending::default(),
                torn: false,
            }),
            healthy: AtomicBool::new(true),
        });
        let (has_pending, awakened) = mpsc::channel(1);
        let task = tokio::spawn(write_pending(Arc::clone(&shared), awakened));
        Ok((
            Self {
                shared,
                has_pending,
            },
            task,
        ))
    }

    /// Whether the last write went well.
    pub fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    /// Appends a line, with all before it. Says whether the system has it.
    pub fn append_now(&self, line: &[u8]) -> bool {
        let mut writer = self.shared.lock();
        writer.pending.push(line);
        self.shared.write(&mut writer)
    }

    /// Appends a line soon.
    pub fn append(&self, line: &[u8]) {
        let mut writer = self.shared.lock();
        writer.pending.push(line);
        if writer.pending.bytes.len() >= AUDIT_PENDING_BYTES_MAX {
            self.shared.write(&mut writer);
        } else {
            // Full: it is awake already.
            self.has_pending.try_send(()).ok();
        }
    }
}

async fn write_pending(shared: Arc<Shared>, mut awakened: mpsc::Receiver<()>) {
    while awakened.recv().await.is_some() {
        tokio::time::sleep(PENDING_MAX).await;
        shared.write(&mut shared.lock());
    }
    shared.write(&mut shared.lock());
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, writer: &mut Writer) -> bool {
        if writer.pending.lines == 0 {
            return true;
        }
        let is_written = writer.write();
        self.healthy.store(is_written, Ordering::Relaxed);
        is_written
    }
}

impl Pending {
    fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
        self.lines += 1;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.lines = 0;
    }
}

impl Writer {
    fn write(&mut self) -> bool {
        if self.torn {
            self.pending.bytes.insert(0, b'\n');
        }
        let result = self.append_pending();
        if let Err(error) = &result {
            let lines = self.pending.lines;
            tracing::error!(%error, lines, "audit events could not be written");
            self.file = None;
        }
        self.pending.clear();
        self.torn = result.is_err();
        result.is_ok()
    }

    /// Appends to the file at the path: opened again when it was moved away or removed.
    fn append_pending(&mut self) -> io::Result<()> {
        let mut opened = match (self.file.take(), fs_err::metadata(&self.path)) {
            (Some(opened), Ok(at_path)) if opened.identity == (at_path.dev(), at_path.ino()) => {
                opened
            }
            _ => open_file(&self.path)?,
        };
        let result = opened.file.write_all(&self.pending.bytes);
        self.file = Some(opened);
        result
    }
}

fn open_file(path: &Path) -> io::Result<Opened> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options.options_mut().mode(0o600);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    Ok(Opened {
        file,
        identity: (metadata.dev(), metadata.ino()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_survive_rotation() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("audit/egress.jsonl");
        let (log, writer) = AuditLog::open(&path).expect("a log");
        assert!(log.append_now(b"{\"n\":1}"));
        fs_err::rename(&path, dir.path().join("old")).expect("rotate");
        assert!(log.append_now(b"{\"n\":2}"));
        log.append(b"{\"n\":3}");
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
    async fn a_line_that_is_waited_for_takes_those_before_it_along() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, _writer) = AuditLog::open(&path).expect("a log");
        log.append(b"1");
        log.append(b"2");
        assert!(log.append_now(b"3"));
        let written = fs_err::read_to_string(&path).expect("the file");
        assert_eq!(written, "1\n2\n3\n");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_bounded() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, _writer) = AuditLog::open(&path).expect("a log");
        log.append(&vec![b'x'; AUDIT_PENDING_BYTES_MAX]);
        let written = fs_err::metadata(&path).expect("the file").len();
        assert_eq!(written, AUDIT_PENDING_BYTES_MAX as u64 + 1);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_known() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, _writer) = AuditLog::open(&path).expect("a log");
        fs_err::remove_file(&path).expect("remove");
        fs_err::create_dir(&path).expect("in its place");
        assert!(!log.append_now(b"{}"));
        assert!(!log.is_healthy());
        fs_err::remove_dir(&path).expect("remove");
        assert!(log.append_now(b"{}"));
        assert!(log.is_healthy());
    }
}
