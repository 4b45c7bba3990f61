//! A folder as the root of everything: paths from an archive are resolved by the kernel inside it
//! (`openat2` with `RESOLVE_IN_ROOT`), so that neither `..` nor a symbolic link leads out.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// An open folder that nothing resolved through it can leave.
#[derive(Debug)]
pub struct Root(OwnedFd);

impl Root {
    /// Opens a folder.
    pub fn open(dir: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::open(
            dir,
            OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?))
    }

    /// Opens the folder `path` inside, following links inside alone; makes what is missing.
    pub fn folder(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.resolve(path) {
            Err(Errno::NOENT) => self.make(path),
            other => Ok(other?),
        }
    }

    /// Opens the folder `path` inside; `None` when there is none.
    pub fn existing_folder(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        match self.resolve(path) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn resolve(&self, path: &Path) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        rustix::fs::openat2(
            &self.0,
            path,
            OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        )
    }

    fn make(&self, path: &Path) -> io::Result<OwnedFd> {
        let mut walked = PathBuf::new();
        let mut folder = self.resolve(&walked)?;
        for part in path.components() {
            walked.push(part);
            folder = match self.resolve(&walked) {
                Err(Errno::NOENT) => {
                    rustix::fs::mkdirat(&folder, part.as_os_str(), Mode::from_raw_mode(0o755))?;
                    self.resolve(&walked)?
                }
                other => other?,
            };
        }
        Ok(folder)
    }
}

/// Splits a path of an archive into folder and name; `None` for one that is absolute, has `..`, or names nothing.
#[must_use]
pub fn split(path: &Path) -> Option<(PathBuf, &OsStr)> {
    let clean = clean(path)?;
    let name = path.file_name()?;
    Some((clean.parent()?.to_owned(), name))
}

/// A path of an archive without its `.` parts; `None` for one that is absolute or has `..`.
#[must_use]
pub fn clean(path: &Path) -> Option<PathBuf> {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

/// Removes `name` in `folder`, whatever it is, without following links. Fine when there is nothing.
pub fn remove(folder: impl AsFd, name: &OsStr) -> io::Result<()> {
    let folder = folder.as_fd();
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            remove_children(rustix::fs::openat(folder, name, flags, Mode::empty())?)?;
            Ok(rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes everything in a folder.
pub fn remove_children(folder: OwnedFd) -> io::Result<()> {
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        use std::os::unix::ffi::OsStrExt;
        remove(&folder, OsStr::from_bytes(name.to_bytes()))?;
    }
    Ok(())
}

/// What `name` in `folder` is, itself rather than what it points at; `None` when there is nothing.
pub fn kind(folder: impl AsFd, name: &OsStr) -> io::Result<Option<FileType>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok(Some(FileType::from_raw_mode(found.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
