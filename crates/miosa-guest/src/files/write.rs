//! Writes a file as a stream: beside its target, then renamed over it.
//!
//! A reader sees the old file or the new one, never a part; an upload that ends early (a full
//! disk, a caller that leaves) leaves the old file and nothing else.

use std::fs::{Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::BodyDataStream;
use fs_err::os::unix::fs::OpenOptionsExt;
use futures_util::StreamExt;
use miosa_api::error::ErrorCode;
use miosa_api::limits::FILE_BYTES_MAX;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use crate::blocking::blocking;
use crate::failure::Failure;

/// Permission bits of a new file.
const DEFAULT_MODE: u32 = 0o644;
/// Symbolic links followed at most, as the kernel does.
const LINKS_MAX: usize = 40;
/// Names tried for the file beside its target.
const BESIDE_TRIES: usize = 1000;
/// Bytes gathered before the disk sees them.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes the file, makes folders as needed, and says how many bytes it has.
pub async fn content(
    path: PathBuf,
    mode: Option<u32>,
    mut chunks: BodyDataStream,
) -> Result<u64, Failure> {
    let written = write(path, mode, &mut chunks).await;
    if written.is_err() {
        pass_over(&mut chunks).await;
    }
    written
}

async fn write(
    path: PathBuf,
    mode: Option<u32>,
    chunks: &mut BodyDataStream,
) -> Result<u64, Failure> {
    let (upload, file) = blocking(move || Upload::begin(path, mode)).await?;
    let size = fill(File::from_std(file), chunks).await?;
    blocking(move || upload.finish()).await?;
    Ok(size)
}

/// Reads what is left of a body that nobody wants: a caller whose connection closes while it sends
/// would see a broken pipe instead of the reason.
async fn pass_over(chunks: &mut BodyDataStream) {
    let mut left = FILE_BYTES_MAX;
    while let Some(Ok(chunk)) = chunks.next().await {
        left = left.saturating_sub(chunk.len() as u64);
        if left == 0 {
            break;
        }
    }
}

async fn fill(file: File, chunks: &mut BodyDataStream) -> Result<u64, Failure> {
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
    let mut size = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| Failure::bad_request(format!("body: {error}")))?;
        size += chunk.len() as u64;
        if size > FILE_BYTES_MAX {
            let message = format!("a file may have {FILE_BYTES_MAX} bytes");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok(size)
}

/// A file beside its target; removed when dropped before it replaced the target.
struct Upload {
    beside: PathBuf,
    target: PathBuf,
    old: Option<Metadata>,
    mode: u32,
    is_done: bool,
}

impl Upload {
    /// Makes folders and the file beside.
    fn begin(path: PathBuf, mode: Option<u32>) -> Result<(Self, std::fs::File), Failure> {
        let target = follow(path)?;
        let folder = target.parent().expect("follow gives a path with a name");
        fs_err::create_dir_all(folder)?;
        let old = replaced(&target)?;
        let (beside, file) = create_beside(&target)?;
        let mode = mode
            .or(old.as_ref().map(|old| old.mode() & 0o7777))
            .unwrap_or(DEFAULT_MODE);
        Ok((
            Self {
                beside,
                target,
                old,
                mode,
                is_done: false,
            },
            file,
        ))
    }

    /// Puts the file in its target's place.
    fn finish(mut self) -> Result<(), Failure> {
        if let Some(old) = &self.old {
            // Owner before mode: a change of owner clears set-user-id. Where the agent may not
            // give files away, the file is its own.
            let _ = std::os::unix::fs::lchown(&self.beside, Some(old.uid()), Some(old.gid()));
        }
        fs_err::set_permissions(&self.beside, Permissions::from_mode(self.mode))?;
        fs_err::rename(&self.beside, &self.target)?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_done {
            // Nothing else can be done about it, and who asked is told of the first failure.
            let _ = fs_err::remove_file(&self.beside);
        }
    }
}

/// A new file in the target's folder. Never one that is there: somebody in the sandbox may have
/// planted a link under that name, or an agent that was killed may have left a file.
fn create_beside(target: &Path) -> Result<(PathBuf, std::fs::File), Failure> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    for _ in 0..BESIDE_TRIES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Not from the target's name, which may be as long as a name can be.
        let path = target.with_file_name(format!(".miosa-upload-{}-{number}", std::process::id()));
        let mut options = fs_err::OpenOptions::new();
        match options.write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file.into_parts().0)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    let message = format!("{}: no free name beside it", target.display());
    Err(Failure::new(ErrorCode::Internal, message))
}

/// The file to replace, if there is one.
fn replaced(target: &Path) -> Result<Option<Metadata>, Failure> {
    match fs_err::symlink_metadata(target) {
        Ok(found) if found.is_file() => Ok(Some(found)),
        Ok(found) => {
            let what = if found.is_dir() {
                "a folder"
            } else {
                "not a regular file"
            };
            Err(Failure::invalid_path(format!(
                "{}: is {what}",
                target.display()
            )))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where a link leads in the end, whether or not something is there.
fn follow(mut path: PathBuf) -> Result<PathBuf, Failure> {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(Failure::invalid_path(format!(
            "{}: is a folder",
            path.display()
        )));
    }
    for _ in 0..LINKS_MAX {
        let is_link = std::fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if !is_link {
            return match path.file_name() {
                Some(_) => Ok(path),
                None => Err(Failure::invalid_path(format!(
                    "{}: is a folder",
                    path.display()
                ))),
            };
        }
        let target = fs_err::read_link(&path)?;
        path.pop();
        path.push(target);
    }
    Err(Failure::invalid_path(format!(
        "{}: too many symbolic links",
        path.display()
    )))
}
