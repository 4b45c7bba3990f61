//! The only unsafe code of the agent: descriptors handed over, and what a child does between
//! fork and exec.

#![expect(
    unsafe_code,
    reason = "inherited descriptors, fork and signals have no safe interface"
)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;

use miosa_api::guest::LISTEN_FD;
use rustix::process::DumpableBehavior;
use tokio::io::unix::AsyncFd;

/// Highest signal number of Linux.
pub const SIGNAL_MAX: i32 = 64;

/// Takes the listening socket and makes this process fit to be pid 1 (or, in tests, to adopt
/// orphans as pid 1 does).
///
/// Call once, before anything else opens a descriptor.
pub fn become_init() -> io::Result<UnixListener> {
    // SAFETY: no pointer is passed. All inherited descriptors but 0, 1, 2 are closed on exec.
    let marked = unsafe {
        libc::close_range(
            LISTEN_FD.cast_unsigned(),
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC.cast_signed(),
        )
    };
    if marked != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fcntl only looks at the number.
    if unsafe { libc::fcntl(LISTEN_FD, libc::F_GETFD) } < 0 {
        return Err(io::Error::other(
            "descriptor 3 must be a listening Unix socket",
        ));
    }
    // SAFETY: the protocol hands us this descriptor, it is open, and nothing else here owns it.
    let listener = UnixListener::from(unsafe { OwnedFd::from_raw_fd(LISTEN_FD) });
    listener.set_nonblocking(true)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // Nothing in the sandbox may trace or read the agent but its root user.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    if !is_init() {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    Ok(listener)
}

/// Registers a descriptor with the runtime, to learn when it can be read or written.
pub fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open and gives the same descriptor for as long as it lives.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

/// Whether this is pid 1 of its namespace.
pub fn is_init() -> bool {
    rustix::process::getpid().is_init()
}

/// Who a command runs as.
#[derive(Debug, Clone)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// All groups.
    pub groups: Vec<u32>,
}

/// What a child changes about itself before it becomes the command.
#[derive(Debug, Default)]
pub struct ChildSetup {
    /// Make standard input the controlling terminal.
    pub terminal: bool,
    /// Become this user.
    pub identity: Option<Identity>,
    /// A descriptor that stays open in the command.
    pub keep: Option<RawFd>,
}

/// Makes the command apply `setup` in its child.
pub fn prepare(command: &mut Command, setup: ChildSetup) {
    // SAFETY: `enter` only makes system calls and neither allocates nor locks.
    unsafe { command.pre_exec(move || enter(&setup)) };
}

/// Runs in the child. `Command` has set up descriptors 0 to 2 and emptied the signal mask.
fn enter(setup: &ChildSetup) -> io::Result<()> {
    for signal in 1..=SIGNAL_MAX {
        reset(signal);
    }
    // SAFETY: no pointers.
    check(unsafe { libc::setsid() }.into())?;
    if setup.terminal {
        // SAFETY: TIOCSCTTY takes an integer.
        check(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }.into())?;
    }
    if let Some(fd) = setup.keep {
        // SAFETY: clears the flags of a descriptor that the parent holds open.
        check(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }.into())?;
    }
    setup.identity.as_ref().map_or(Ok(()), become_user)
}

/// Gives a signal its default disposition, also those that glibc keeps to itself. `SIGKILL` and
/// `SIGSTOP` cannot be changed and need not be.
fn reset(signal: i32) {
    /// Bytes of the kernel's set of signals.
    const SET_BYTES: usize = 8;
    // The kernel's `struct sigaction`, at most four words; all zero is SIG_DFL without flags.
    let default = [0_u64; 4];
    let none: *mut u64 = std::ptr::null_mut();
    // SAFETY: the kernel reads one structure, which lives until the call is over, and writes none.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigaction,
            signal,
            default.as_ptr(),
            none,
            SET_BYTES,
        )
    };
}

/// Raw system calls: glibc's wrappers would try to change threads that fork did not copy.
fn become_user(identity: &Identity) -> io::Result<()> {
    let Identity { uid, gid, groups } = identity;
    // SAFETY: pointer and length are those of one living vector.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid) })?;
    // SAFETY: integers only.
    check(unsafe { libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid) })
}

fn check(result: i64) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sends a signal to a process group. One that has no members any more is no error.
pub fn signal_group(group: i32, signal: i32) {
    debug_assert!(group > 1, "0, 1 and -1 mean something else to kill");
    // SAFETY: no pointers; the worst number is refused by the kernel.
    unsafe { libc::kill(-group, signal) };
}

/// Sends a signal to every process of the namespace but this one. Only for pid 1.
pub fn signal_all(signal: i32) {
    assert!(is_init(), "anywhere else this would signal the host");
    // SAFETY: no pointers.
    unsafe { libc::kill(-1, signal) };
}
