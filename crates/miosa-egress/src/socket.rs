//! The broker's own sockets in the run directory.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::EgressError;

const BACKLOG: i32 = 1024;

/// A listening socket at `path` that only this user may connect to. A socket nobody listens on any
/// more is replaced; one that somebody listens on is an error.
pub fn listen(path: &Path, kind: SocketType) -> Result<OwnedFd, EgressError> {
    try_listen(path, kind).map_err(|source| EgressError::Socket {
        path: path.to_owned(),
        source,
    })
}

fn try_listen(path: &Path, kind: SocketType) -> io::Result<OwnedFd> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    let address = SocketAddrUnix::new(path)?;
    remove_stale(path, &address, kind)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None)?;
    // On Linux the file that `bind` makes takes the socket's mode: there is no moment in which
    // others could connect.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn remove_stale(path: &Path, address: &SocketAddrUnix, kind: SocketType) -> io::Result<()> {
    if !path.try_exists()? {
        return Ok(());
    }
    let probe = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    match rustix::net::connect(&probe, address) {
        Ok(()) => Err(io::ErrorKind::AddrInUse.into()),
        Err(rustix::io::Errno::CONNREFUSED) => fs_err::remove_file(path),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a socket's file, unless another's is in its place. To be dropped before the socket: as long as
/// that is open no other file has its number.
pub struct Unlink {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl Unlink {
    /// To remove the file that is at `path` now.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: identity(path),
        }
    }
}

impl Drop for Unlink {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // It may be gone with its folder.
            fs_err::remove_file(&self.path).ok();
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs_err::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successors_socket_is_not_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("socket");
        let first = listen(&path, SocketType::STREAM).expect("a socket");
        let unlink_first = Unlink::new(&path);
        fs_err::remove_file(&path).expect("as a successor does with one that is not answered");
        let second = listen(&path, SocketType::STREAM).expect("another socket");
        let unlink_second = Unlink::new(&path);
        drop((unlink_first, first));
        assert!(path.exists());
        drop((unlink_second, second));
        assert!(!path.exists());
    }
}
