//! Unpacks the layers of an image, one over the other, into one folder.
//!
//! An archive is hostile input: absolute paths, `..`, links out of the root, devices, foreign owners
//! and endless contents are refused; extended attributes are dropped (one could tell overlayfs to
//! redirect a path). Whiteouts delete for real, before the layer's own entries are written, because
//! they are about the layers below alone.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use tar::{Archive, Entry, EntryType};

use super::root::{self, Root};

/// Most bytes one image may unpack to.
pub const BYTES_MAX: u64 = 32 * 1024 * 1024 * 1024;
/// Most entries of all layers of one image.
pub const ENTRIES_MAX: u64 = 2_000_000;
/// Owners inside a sandbox are below this.
const OWNERS: u64 = 65_536;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// A path that could lead out of the root.
    #[error("the archive has the path {0:?}, which is absolute, has `..` or names nothing")]
    Path(PathBuf),
    /// A hard link to something that is not a file of the image.
    #[error("the archive links {path:?} to {target:?}, which is not a file in it")]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A device, pipe or unknown entry.
    #[error("the archive has {0:?}, which is neither file, folder nor link")]
    Kind(PathBuf),
    /// An owner that no sandbox has.
    #[error("the archive has {0:?} with an owner above {OWNERS}")]
    Owner(PathBuf),
    /// Over a limit.
    #[error("the archive unpacks to more than {BYTES_MAX} bytes or {ENTRIES_MAX} entries")]
    TooLarge,
    /// The archive is broken or the disk is full.
    #[error("the archive could not be unpacked: {0}")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for UnpackError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// What to do with devices and pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// An error.
    Refuse,
    /// Left out (a bootstrapped system has a `/dev` that no sandbox uses).
    Skip,
}

/// Unpacks archives into one folder, within limits over all of them.
#[derive(Debug)]
pub struct Unpacker {
    root: Root,
    devices: Devices,
    bytes: u64,
    entries: u64,
}

impl Unpacker {
    /// Unpacks into `dir`, which exists.
    pub fn new(dir: &Path, devices: Devices) -> io::Result<Self> {
        Ok(Self {
            root: Root::open(dir)?,
            devices,
            bytes: 0,
            entries: 0,
        })
    }

    /// Applies a layer: `open` gives the archive's bytes and is called twice.
    pub fn layer<R: Read>(&mut self, open: impl Fn() -> io::Result<R>) -> Result<(), UnpackError> {
        for entry in Archive::new(open()?).entries()? {
            self.delete(&entry?)?;
        }
        self.archive(open()?)
    }

    /// Writes the entries of an archive; whiteouts in it are left out.
    pub fn archive(&mut self, archive: impl Read) -> Result<(), UnpackError> {
        for entry in Archive::new(archive).entries()? {
            self.write(entry?)?;
        }
        Ok(())
    }

    fn count(&mut self, size: u64) -> Result<(), UnpackError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.entries > ENTRIES_MAX || self.bytes > BYTES_MAX {
            return Err(UnpackError::TooLarge);
        }
        Ok(())
    }

    fn delete<R: Read>(&self, entry: &Entry<'_, R>) -> Result<(), UnpackError> {
        let path = entry.path()?;
        let Some(name) = path
            .file_name()
            .filter(|name| name.as_bytes().starts_with(WHITEOUT))
        else {
            return Ok(());
        };
        let (folder, _) =
            root::split(&path).ok_or_else(|| UnpackError::Path(path.to_path_buf()))?;
        let Some(folder) = self.root.existing_folder(&folder)? else {
            return Ok(());
        };
        if name.as_bytes() == OPAQUE {
            return Ok(root::remove_children(folder)?);
        }
        let hidden = OsStr::from_bytes(&name.as_bytes()[WHITEOUT.len()..]);
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(UnpackError::Path(path.to_path_buf()));
        }
        Ok(root::remove(folder, hidden)?)
    }

    fn write<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<(), UnpackError> {
        self.count(entry.size())?;
        let path = entry.path()?.into_owned();
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        if root::clean(&path).is_some_and(|clean| clean.as_os_str().is_empty()) && kind.is_dir() {
            return Ok(());
        }
        let (folder, name) = root::split(&path).ok_or_else(|| UnpackError::Path(path.clone()))?;
        if name.as_bytes().starts_with(WHITEOUT) {
            return Ok(());
        }
        let place = Place {
            folder: self.root.folder(&folder)?,
            name: name.to_owned(),
        };
        let stat = Stat::of(&entry, &path)?;
        match kind {
            EntryType::Directory => place.directory(&stat)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                place.file(&mut entry, &stat)?
            }
            EntryType::Symlink => place.symlink(&link_target(&entry, &path)?, &stat)?,
            EntryType::Link => self.hard_link(&place, &path, &link_target(&entry, &path)?)?,
            EntryType::Char | EntryType::Block | EntryType::Fifo
                if self.devices == Devices::Skip => {}
            _ => return Err(UnpackError::Kind(path)),
        }
        Ok(())
    }

    fn hard_link(&self, place: &Place, path: &Path, target: &Path) -> Result<(), UnpackError> {
        let refuse = || UnpackError::Link {
            path: path.to_owned(),
            target: target.to_owned(),
        };
        let (folder, name) = root::split(target).ok_or_else(refuse)?;
        let folder = self.root.existing_folder(&folder)?.ok_or_else(refuse)?;
        match root::kind(&folder, name)? {
            Some(FileType::RegularFile | FileType::Symlink) => {}
            _ => return Err(refuse()),
        }
        root::remove(&place.folder, &place.name)?;
        Ok(rustix::fs::linkat(
            &folder,
            name,
            &place.folder,
            place.name.as_os_str(),
            AtFlags::empty(),
        )?)
    }
}

fn link_target<R: Read>(entry: &Entry<'_, R>, path: &Path) -> Result<PathBuf, UnpackError> {
    let target = entry
        .link_name()?
        .ok_or_else(|| UnpackError::Kind(path.to_owned()))?;
    Ok(target.into_owned())
}

/// Owner, mode and time of an entry.
struct Stat {
    uid: Uid,
    gid: Gid,
    mode: Mode,
    times: Timestamps,
}

impl Stat {
    fn of<R: Read>(entry: &Entry<'_, R>, path: &Path) -> Result<Self, UnpackError> {
        let header = entry.header();
        let owner = |id: u64| u32::try_from(id).ok().filter(|_| id < OWNERS);
        let refuse = || UnpackError::Owner(path.to_owned());
        let at = Timespec {
            tv_sec: i64::try_from(header.mtime()?).unwrap_or(0),
            tv_nsec: 0,
        };
        Ok(Self {
            uid: Uid::from_raw(owner(header.uid()?).ok_or_else(refuse)?),
            gid: Gid::from_raw(owner(header.gid()?).ok_or_else(refuse)?),
            mode: Mode::from_raw_mode(header.mode()? & 0o7777),
            times: Timestamps {
                last_access: at,
                last_modification: at,
            },
        })
    }

    fn apply(&self, file: impl AsFd) -> rustix::io::Result<()> {
        rustix::fs::fchown(&file, Some(self.uid), Some(self.gid))?;
        // After the owner: a change of owner clears setuid.
        rustix::fs::fchmod(&file, self.mode)?;
        rustix::fs::futimens(&file, &self.times)
    }
}

/// A name in an open folder.
struct Place {
    folder: OwnedFd,
    name: OsString,
}

impl Place {
    fn directory(&self, stat: &Stat) -> Result<(), UnpackError> {
        if root::kind(&self.folder, &self.name)? != Some(FileType::Directory) {
            root::remove(&self.folder, &self.name)?;
            rustix::fs::mkdirat(
                &self.folder,
                self.name.as_os_str(),
                Mode::from_raw_mode(0o700),
            )?;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(&self.folder, self.name.as_os_str(), flags, Mode::empty())?;
        Ok(stat.apply(folder)?)
    }

    fn file(&self, content: &mut impl Read, stat: &Stat) -> Result<(), UnpackError> {
        root::remove(&self.folder, &self.name)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(
            &self.folder,
            self.name.as_os_str(),
            flags,
            Mode::from_raw_mode(0o600),
        )?;
        let mut file = std::fs::File::from(file);
        io::copy(content, &mut file)?;
        Ok(stat.apply(&file)?)
    }

    fn symlink(&self, target: &Path, stat: &Stat) -> Result<(), UnpackError> {
        root::remove(&self.folder, &self.name)?;
        rustix::fs::symlinkat(target, &self.folder, self.name.as_os_str())?;
        rustix::fs::chownat(
            &self.folder,
            self.name.as_os_str(),
            Some(stat.uid),
            Some(stat.gid),
            AtFlags::SYMLINK_NOFOLLOW,
        )?;
        Ok(())
    }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
