//! Descriptors by number, for the moment before `exec`.
#![expect(
    unsafe_code,
    reason = "descriptors by number are outside the ownership rules"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Makes `target` a copy of `fd` that survives `exec`. What `target` was is closed.
pub(crate) fn place(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    let result = if fd.as_raw_fd() == target {
        // SAFETY: changes a flag of a descriptor that is open.
        unsafe { libc::fcntl(target, libc::F_SETFD, 0) }
    } else {
        // SAFETY: the caller is about to exec and lets no owner of `target` live on.
        unsafe { libc::dup2(fd.as_raw_fd(), target) }
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Marks every descriptor from `first` on to be closed by `exec`.
pub(crate) fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: sets flags only; nothing is closed while this process runs.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
