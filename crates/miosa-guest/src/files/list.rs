//! `stat` and listings.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use miosa_api::file::{FileEntry, Listing};

use crate::failure::Failure;

/// Entries of one answer, in all levels together; the rest is left out.
const ENTRIES_MAX: usize = 10_000;
/// Levels of one answer.
const DEPTH_MAX: u32 = 32;

/// One file, folder or link; a link itself, not what it points at.
pub fn entry(path: &Path) -> Result<FileEntry, Failure> {
    let found = fs_err::symlink_metadata(path)?;
    Ok(describe(path, &found))
}

/// What is in a folder, `depth` levels deep (0 is 1).
pub fn folder(path: &Path, depth: u32) -> Result<Listing, Failure> {
    if !fs_err::metadata(path)?.is_dir() {
        return Err(Failure::invalid_path(format!(
            "{}: not a folder",
            path.display()
        )));
    }
    let mut room = ENTRIES_MAX;
    let mut entries = level(path, &mut room)?;
    deepen(&mut entries, depth.clamp(1, DEPTH_MAX) - 1, &mut room);
    Ok(Listing {
        path: path.to_string_lossy().into_owned(),
        entries,
    })
}

/// One level, sorted by name.
fn level(path: &Path, room: &mut usize) -> Result<Vec<FileEntry>, Failure> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for found in fs_err::read_dir(path)? {
        paths.push(found?.path());
    }
    paths.sort_unstable();
    paths.truncate(*room);
    // What disappears meanwhile is not there.
    let entries: Vec<FileEntry> = paths.iter().filter_map(|path| entry(path).ok()).collect();
    *room -= entries.len();
    Ok(entries)
}

/// Fills in the folders of a level, then those below: a large folder hides none of its siblings.
fn deepen(entries: &mut [FileEntry], depth: u32, room: &mut usize) {
    if depth == 0 {
        return;
    }
    let mut folders: Vec<&mut FileEntry> =
        entries.iter_mut().filter(|entry| entry.is_dir).collect();
    for folder in &mut folders {
        // One that cannot be read is shown without children.
        folder.children = level(Path::new(&folder.path), room).ok();
    }
    for folder in folders {
        if let Some(children) = &mut folder.children {
            deepen(children, depth - 1, room);
        }
    }
}

fn describe(path: &Path, found: &Metadata) -> FileEntry {
    let kind = found.file_type();
    let target = if kind.is_symlink() {
        fs_err::read_link(path).ok()
    } else {
        None
    };
    FileEntry {
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        path: path.to_string_lossy().into_owned(),
        kind: if kind.is_file() {
            "file"
        } else if kind.is_dir() {
            "dir"
        } else if kind.is_symlink() {
            "symlink"
        } else {
            "other"
        }
        .to_owned(),
        is_dir: kind.is_dir(),
        size: found.len(),
        mode: format!("{:04o}", found.mode() & 0o7777),
        mtime: found.mtime(),
        target: target.map(|target| target.to_string_lossy().into_owned()),
        children: None,
    }
}
