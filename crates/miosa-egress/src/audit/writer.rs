//! The file, appended to by whoever has something to write down: a write to it costs less than waking
//! another thread to do it.
//!
//! INVARIANT: lines get their order in one place, [`Pending::push`], and reach the file in it.
//!
//! A line that is waited for costs one system call. The head beside the file follows within
//! [`PENDING_MAX`], and whether the file is still the one at its path is asked every [`PLACE_KEPT`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use miosa_api::audit_chain::Head;
use miosa_api::limits::AUDIT_PENDING_BYTES_MAX;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::file::{ChainedFile, Lock};
use crate::error::EgressError;

/// How long a line that nobody waits for may stay in memory, and the head file lag behind.
const PENDING_MAX: Duration = Duration::from_millis(20);
/// How long the file counts as the one at its path: no more goes into one that was moved away or
/// removed than a busy broker writes in this time.
const PLACE_KEPT: Duration = Duration::from_millis(1);

/// Handle of the audit file. Cheap to clone; the task that writes what nobody waits for, and the head,
/// ends when the last one is gone.
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
    has_news: mpsc::Sender<()>,
}

struct Shared {
    writer: Mutex<Writer>,
    healthy: AtomicBool,
    _lock: Lock,
}

struct Writer {
    path: PathBuf,
    file: Option<ChainedFile>,
    /// When the file was last seen at its path.
    seen: Instant,
    /// What the last line in the file makes.
    head: Head,
    /// Whether the head file has it.
    is_head_kept: bool,
    pending: Pending,
    /// Room for lines with their links.
    chained: Vec<u8>,
}

/// Lines in their order, not in the file yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl AuditLog {
    /// Opens `path`, and starts the task that writes what nobody waits for.
    pub fn open(path: &Path) -> Result<(Self, JoinHandle<()>), EgressError> {
        let failed = |source| EgressError::Audit {
            path: path.to_owned(),
            source,
        };
        let lock = Lock::take(path).map_err(failed)?;
        let (file, head) = ChainedFile::open(path, Head::START).map_err(failed)?;
        let shared = Arc::new(Shared {
            writer: Mutex::new(Writer {
                path: path.to_owned(),
                file: Some(file),
                seen: Instant::now(),
                head,
                is_head_kept: true,
                pending: Pending::default(),
                chained: Vec::new(),
            }),
            healthy: AtomicBool::new(true),
            _lock: lock,
        });
        let (has_news, awakened) = mpsc::channel(1);
        let task = tokio::spawn(follow_up(Arc::clone(&shared), awakened));
        Ok((Self { shared, has_news }, task))
    }

    /// Whether the last write went well.
    pub fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Relaxed)
    }

    /// Appends a line, with all before it. Says whether the system has it.
    pub fn append_now(&self, line: &[u8]) -> bool {
        let is_written = {
            let mut writer = self.shared.lock();
            writer.pending.push(line);
            self.shared.write(&mut writer)
        };
        self.awaken();
        is_written
    }

    /// Appends a line soon.
    pub fn append(&self, line: &[u8]) {
        let mut writer = self.shared.lock();
        writer.pending.push(line);
        if writer.pending.bytes.len() >= AUDIT_PENDING_BYTES_MAX {
            self.shared.write(&mut writer);
        }
        drop(writer);
        self.awaken();
    }

    fn awaken(&self) {
        // Full: it is awake already.
        self.has_news.try_send(()).ok();
    }
}

async fn follow_up(shared: Arc<Shared>, mut awakened: mpsc::Receiver<()>) {
    while awakened.recv().await.is_some() {
        tokio::time::sleep(PENDING_MAX).await;
        shared.write_all();
    }
    shared.write_all();
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, writer: &mut Writer) -> bool {
        if writer.pending.ends.is_empty() {
            return true;
        }
        let is_written = writer.write();
        self.healthy.store(is_written, Ordering::Relaxed);
        is_written
    }

    fn write_all(&self) {
        let mut writer = self.lock();
        self.write(&mut writer);
        writer.keep_head();
    }
}

impl Pending {
    fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl Writer {
    fn write(&mut self) -> bool {
        let result = self.append_pending();
        if let Err(error) = &result {
            let lines = self.pending.ends.len();
            tracing::error!(%error, lines, "audit events could not be written");
            // Opened again before the next lines, and rid of a half of these.
            self.file = None;
        }
        self.pending.clear();
        result.is_ok()
    }

    /// Appends to the file at the path: opened again when it was moved away or removed.
    fn append_pending(&mut self) -> io::Result<()> {
        let mut file = self.file_in_place()?;
        let mut head = self.head;
        let mut start = 0;
        self.chained.clear();
        for end in &self.pending.ends {
            head = head.append(&self.pending.bytes[start..*end], &mut self.chained);
            start = *end;
        }
        file.append(&self.chained)?;
        (self.file, self.head, self.is_head_kept) = (Some(file), head, false);
        Ok(())
    }

    fn file_in_place(&mut self) -> io::Result<ChainedFile> {
        let now = Instant::now();
        let is_fresh = now.duration_since(self.seen) < PLACE_KEPT;
        let file = self.file.take();
        if let Some(file) = file.filter(|file| is_fresh || file.is_at(&self.path)) {
            if !is_fresh {
                self.seen = now;
            }
            return Ok(file);
        }
        let (file, head) = ChainedFile::open(&self.path, self.head)?;
        (self.head, self.seen) = (head, now);
        Ok(file)
    }

    fn keep_head(&mut self) {
        let Some(file) = self.file.as_mut().filter(|_| !self.is_head_kept) else {
            return;
        };
        match file.keep_head(self.head) {
            Ok(()) => self.is_head_kept = true,
            // The lines are there; the head follows with the next ones.
            Err(error) => tracing::error!(%error, "the head of the audit could not be kept"),
        }
    }
}

#[cfg(test)]
mod tests {
    use fs_err::File;
    use miosa_api::audit_chain::{Report, Verifier};

    use super::*;

    fn report(path: &Path) -> Report {
        let kept = fs_err::read_to_string(super::super::head_path(path)).expect("a head");
        let verifier = Verifier::new(None, Some(kept.parse().expect("a head")));
        let file = std::io::BufReader::new(File::open(path).expect("a file"));
        verifier.verify(file).expect("readable")
    }

    async fn write(path: &Path, count: usize) {
        let (log, writer) = AuditLog::open(path).expect("a log");
        for n in 0..count {
            assert!(log.append_now(format!("{{\"n\":{n}}}").as_bytes()));
        }
        drop(log);
        writer.await.expect("the writer ends");
    }

    #[tokio::test(start_paused = true)]
    async fn the_chain_goes_on_over_rotation_and_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("audit/egress.jsonl");
        write(&path, 2).await;
        let (log, writer) = AuditLog::open(&path).expect("a log");
        assert!(log.append_now(b"{}"));
        fs_err::rename(&path, dir.path().join("old")).expect("rotate");
        tokio::time::advance(PLACE_KEPT).await;
        assert!(log.append_now(b"{}"));
        log.append(b"{}");
        drop(log);
        writer.await.expect("the writer ends");
        let now = report(&path);
        assert_eq!((now.intact, now.first, now.lines), (true, 4, 2));
        fs_err::remove_file(&path).expect("remove");
        write(&path, 1).await;
        let now = report(&path);
        assert_eq!((now.intact, now.first), (true, 6), "the head file knows");
        let old = fs_err::read(dir.path().join("old")).expect("old");
        let old = Verifier::new(Some(Head::START), None)
            .verify(&*old)
            .expect("readable");
        assert_eq!((old.intact, old.lines), (true, 3));
    }

    #[tokio::test]
    async fn a_torn_line_is_taken_away_and_a_missing_one_is_not_hidden() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        write(&path, 3).await;
        let whole = fs_err::read(&path).expect("the file");
        fs_err::write(&path, [&whole[..], b"{\"half"].concat()).expect("a torn line");
        write(&path, 1).await;
        assert_eq!((report(&path).intact, report(&path).lines), (true, 4));

        let two = &whole[..whole.len() / 3 * 2];
        let two = two
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        fs_err::write(&path, &whole[..two]).expect("without its end");
        write(&path, 1).await;
        let fault = report(&path).fault.expect("a fault");
        assert!(fault.contains("were removed"), "{fault}");
    }

    #[tokio::test]
    async fn an_unreadable_head_is_a_fault_and_an_empty_one_the_start() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let head = super::super::head_path(&path);
        fs_err::write(&head, "").expect("an empty head");
        write(&path, 1).await;
        fs_err::remove_file(&path).expect("remove");
        fs_err::write(&head, "something else").expect("a broken head");
        assert!(AuditLog::open(&path).is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_successor_waits_until_the_last_line_is_written() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, writer) = AuditLog::open(&path).expect("a log");
        assert!(log.append_now(b"{}"));
        let again = path.clone();
        let (tried, trying) = std::sync::mpsc::channel();
        let successor = tokio::task::spawn_blocking(move || {
            tried.send(()).expect("somebody listens");
            Lock::take(&again).and_then(|_lock| ChainedFile::open(&again, Head::START))
        });
        trying.recv().expect("it begins");
        assert!(log.append_now(b"{}"));
        drop(log);
        writer.await.expect("the writer ends");
        let (_, head) = successor.await.expect("it ends").expect("the lock");
        assert_eq!(head.seq, 2);
    }

    #[tokio::test]
    async fn a_line_that_is_waited_for_takes_those_before_it_along() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, _writer) = AuditLog::open(&path).expect("a log");
        log.append(b"{\"n\":1}");
        log.append(b"{\"n\":2}");
        assert!(log.append_now(b"{\"n\":3}"));
        let written = fs_err::read_to_string(&path).expect("the file");
        let numbers = written.lines().map(|line| line.as_bytes()[5]);
        assert_eq!(numbers.collect::<Vec<_>>(), b"123");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_bounded() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, _writer) = AuditLog::open(&path).expect("a log");
        log.append(&vec![b'x'; AUDIT_PENDING_BYTES_MAX]);
        let written = fs_err::metadata(&path).expect("the file").len();
        assert!(written > AUDIT_PENDING_BYTES_MAX as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn the_head_follows_the_lines() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, _writer) = AuditLog::open(&path).expect("a log");
        assert!(log.append_now(b"{}"));
        assert!(log.append_now(b"{}"));
        tokio::time::sleep(PENDING_MAX * 2).await;
        let kept = fs_err::read_to_string(super::super::head_path(&path)).expect("a head");
        let last = fs_err::read_to_string(&path).expect("the file");
        let last = last.lines().last().expect("a line");
        assert_eq!(kept.parse().ok(), Head::of_line(last.as_bytes()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_cannot_be_written_is_known() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("egress.jsonl");
        let (log, _writer) = AuditLog::open(&path).expect("a log");
        fs_err::remove_file(&path).expect("remove");
        fs_err::create_dir(&path).expect("in its place");
        tokio::time::advance(PLACE_KEPT).await;
        assert!(!log.append_now(b"{}"));
        assert!(!log.is_healthy());
        fs_err::remove_dir(&path).expect("remove");
        assert!(log.append_now(b"{}"));
        assert!(log.is_healthy());
        assert!(report(&path).intact);
    }
}
