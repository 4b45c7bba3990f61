//! The agent's end of a command's pipe or terminal, without blocking.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use miosa_api::guest::Resize;
use rustix::fs::OFlags;
use rustix::termios::Winsize;
use tokio::io::unix::AsyncFd;

use crate::sys;

/// What a terminal takes as end of input (`VEOF`, control-D).
const END_OF_INPUT: &[u8] = &[4];

/// A pipe end, or the master of a terminal; clones share it.
#[derive(Debug, Clone)]
pub struct Stream {
    fd: Arc<AsyncFd<OwnedFd>>,
    is_terminal: bool,
}

impl Stream {
    /// The agent's end of a pipe.
    pub fn pipe(fd: impl Into<OwnedFd>) -> io::Result<Self> {
        Self::new(fd.into(), false)
    }

    /// The master of a terminal.
    pub fn terminal(fd: OwnedFd) -> io::Result<Self> {
        Self::new(fd, true)
    }

    fn new(fd: OwnedFd, is_terminal: bool) -> io::Result<Self> {
        let flags = rustix::fs::fcntl_getfl(&fd)?;
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
        Ok(Self {
            fd: Arc::new(sys::watch(fd)?),
            is_terminal,
        })
    }

    /// Reads some bytes; 0 at the end. Loses nothing when cancelled.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.fd.readable().await?;
            let read = ready.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?));
            match read {
                // A terminal without a user answers so.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Ok(0),
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => return read,
                Err(_not_ready) => {}
            }
        }
    }

    /// Writes all bytes.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.fd.writable().await?;
            match ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(written) => bytes = &bytes[written?..],
                Err(_not_ready) => {}
            }
        }
        Ok(())
    }

    /// Ends the command's input: a pipe closes with its last clone, a terminal needs a character.
    pub async fn end_input(self) -> io::Result<()> {
        if self.is_terminal {
            self.write_all(END_OF_INPUT).await
        } else {
            Ok(())
        }
    }

    /// Bytes that can be read now.
    pub fn pending(&self) -> usize {
        let pending = rustix::io::ioctl_fionread(&self.fd).unwrap_or(0);
        usize::try_from(pending).unwrap_or(usize::MAX)
    }

    /// Sets the size of a terminal.
    pub fn resize(&self, size: Resize) -> io::Result<()> {
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.cols,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(rustix::termios::tcsetwinsize(&self.fd, size)?)
    }
}
