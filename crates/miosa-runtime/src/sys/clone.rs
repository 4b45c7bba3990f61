//! `clone3` and `unshare`, for the single-threaded shim.
#![expect(unsafe_code, reason = "clone3 has no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Clone into a control group of the v2 tree; the one in `libc` has too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a clone this is.
pub(crate) enum Cloned {
    /// The new process, with a copy of this one's memory.
    Child,
    /// The process that called.
    Parent {
        /// The child as this process sees it.
        pid: Pid,
        /// A descriptor of the child.
        pidfd: OwnedFd,
    },
}

/// Clones this process into new namespaces and, where given, into a cgroup of the v2 tree.
///
/// Only for a process with one thread: the child goes on as a copy of it.
pub(crate) fn clone_process(flags: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    // SAFETY: `clone_args` is plain integers, for which zero is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from(flags.cast_unsigned()) | u64::from(libc::CLONE_PIDFD.cast_unsigned());
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = u64::from(libc::SIGCHLD.cast_unsigned());
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().cast_unsigned());
    }
    // SAFETY: no CLONE_VM, so the child has its own copy of all memory; the process has one
    // thread, so no lock is held by a thread the child lacks; `args` outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match i32::try_from(pid).unwrap_or(-1) {
        0 => Ok(Cloned::Child),
        pid => match Pid::from_raw(pid).filter(|_| pid > 0) {
            // SAFETY: the kernel stored a new descriptor there that nobody else owns.
            Some(pid) => Ok(Cloned::Parent {
                pid,
                pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) },
            }),
            None => Err(io::Error::last_os_error()),
        },
    }
}

/// Moves this process into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: descriptors stay shared (no FILES), which is the only hazard of the call.
    Ok(unsafe { rustix::thread::unshare_unsafe(flags) }?)
}
