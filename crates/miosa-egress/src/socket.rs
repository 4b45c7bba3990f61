//! The broker's own sockets in the run directory.

use std::io;
use std::os::fd::OwnedFd;
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

/// Removes the socket's file when the broker ends.
pub struct Unlink(pub PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        // It may be gone with its folder.
        fs_err::remove_file(&self.0).ok();
    }
}
