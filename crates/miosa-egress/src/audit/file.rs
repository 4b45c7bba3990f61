//! The file on disk, and the head of its chain beside it.
//!
//! INVARIANT: what is appended follows from the last event that was ever written, be it in this file,
//! in one that was rotated away, or in one whose end is missing: then the gap shows. So one process at a
//! time appends: who has the [`Lock`]. The kept head may lag behind the lines, never lead: lines count by
//! themselves, the head tells of those that are gone.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err::{File, OpenOptions};
use miosa_api::audit_chain::Head;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// More than the longest line.
const TAIL_BYTES_MAX: u64 = 64 * 1024;
/// How long to wait for a broker that ends: longer than one may take.
const LOCK_MAX: Duration = Duration::from_secs(12);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The open file.
pub struct ChainedFile {
    lines: File,
    identity: (u64, u64),
    head: File,
}

/// Where the head of the chain in `path` is kept.
pub fn head_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

impl ChainedFile {
    /// Opens `path` for lines after the newest of: its last line, the kept head, and `known`. The rest
    /// of a line that was torn is taken away.
    pub fn open(path: &Path, known: Head) -> io::Result<(Self, Head)> {
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).read(true);
        options.options_mut().mode(0o600);
        let mut lines = options.clone().append(true).open(path)?;
        let mut head = options.write(true).truncate(false).open(head_path(path))?;
        let mut kept = String::new();
        head.read_to_string(&mut kept)?;
        let kept = match kept.trim() {
            "" => Head::START,
            kept => kept.parse().map_err(|()| unreadable(path))?,
        };
        let written = drop_torn(&mut lines)?;
        let newest = [written.unwrap_or(Head::START), kept, known]
            .into_iter()
            .max_by_key(|head| head.seq)
            .unwrap_or(Head::START);
        if let Some(written) = written.filter(|written| written.seq < newest.seq) {
            let (there, expected) = (written.seq, newest.seq);
            tracing::error!(there, expected, path = %path.display(), "the end of the audit file is missing");
        }
        let metadata = lines.metadata()?;
        let identity = (metadata.dev(), metadata.ino());
        let mut file = Self {
            lines,
            identity,
            head,
        };
        file.keep_head(newest)?;
        Ok((file, newest))
    }

    /// Whether it is still the file at `path`.
    pub fn is_at(&self, path: &Path) -> bool {
        let at_path = fs_err::metadata(path);
        at_path.is_ok_and(|at_path| self.identity == (at_path.dev(), at_path.ino()))
    }

    /// Appends whole lines.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.lines.write_all(lines)
    }

    /// Notes the head that the last line makes.
    pub fn keep_head(&mut self, head: Head) -> io::Result<()> {
        let text = head.to_string();
        self.head.file().write_all_at(text.as_bytes(), 0)
    }
}

fn unreadable(path: &Path) -> io::Error {
    let path = head_path(path);
    let path = path.display();
    let text = format!(
        "{path} is not the head of a chain; the events before it cannot be known: move it away with its file, and keep both"
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The right to append to the chain in a file, held by one process at a time.
pub struct Lock(#[expect(dead_code, reason = "held")] File);

impl Lock {
    /// Waits for it a while: a broker that ends may still have it.
    pub fn take(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false);
        options.options_mut().mode(0o600);
        let file = options.open(head_path(path))?;
        let until = Instant::now() + LOCK_MAX;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::WOULDBLOCK) if Instant::now() < until => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(Errno::WOULDBLOCK) => {
                    let text = "another broker still writes to it";
                    return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Takes away what follows the last newline; gives the head that the last line makes.
fn drop_torn(file: &mut File) -> io::Result<Option<Head>> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |at| at + 1);
    if whole < tail.len() && (whole > 0 || from == 0) {
        file.set_len(from + whole as u64)?;
    }
    let line = tail[..whole].strip_suffix(b"\n").unwrap_or_default();
    let start = line.iter().rposition(|byte| *byte == b'\n');
    Ok(Head::of_line(&line[start.map_or(0, |at| at + 1)..]))
}
