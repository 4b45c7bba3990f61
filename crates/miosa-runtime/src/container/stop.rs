//! Ending sandboxes, also those whose shim is gone.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use miosa_api::id::SandboxId;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::{Inner, group};
use crate::config::EPOCH_MARK;
use crate::error::{RuntimeError, Step};
use crate::files::{State, gone};
use crate::process::ProcessId;
use crate::uids;

/// How long a shim may take to clean up after its sandbox.
const SHIM_TIMEOUT: Duration = Duration::from_secs(10);

/// Kills everything of a sandbox and gives back all but its disk and the server's files.
pub(super) fn stop(inner: &Inner, id: &SandboxId) -> Result<(), RuntimeError> {
    let files = inner.files(id)?;
    if let Some(State { shim, init, .. }) = inner.state(id)? {
        end(&shim);
        if let Some(init) = init {
            init.signal(Signal::KILL);
        }
    }
    let group = group(id);
    inner
        .cgroups
        .kill(&group)
        .step("killing the sandbox's processes")?;
    inner
        .cgroups
        .remove(&group)
        .step("removing the sandbox's control group")?;
    uids::release(&inner.config, id).step("giving back the sandbox's user ids")?;
    files.remove_runtime().step("removing the sandbox's socket")
}

/// Asks a shim to end its sandbox and itself; kills it when it does not.
fn end(shim: &ProcessId) {
    let Some(pidfd) = shim.open() else { return };
    for (signal, patience) in [(Signal::TERM, SHIM_TIMEOUT), (Signal::KILL, SHIM_TIMEOUT)] {
        // An error means that it has ended.
        if rustix::process::pidfd_send_signal(&pidfd, signal).is_err() {
            return;
        }
        let timeout = Timespec {
            tv_sec: patience.as_secs().cast_signed(),
            tv_nsec: 0,
        };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        if rustix::event::poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0) {
            return;
        }
        tracing::warn!(pid = shim.pid, ?signal, fd = ?pidfd.as_fd(), "shim does not end");
    }
}

/// `stop`, and removes its disk and folder.
pub(super) fn destroy(inner: &Inner, id: &SandboxId) -> Result<(), RuntimeError> {
    stop(inner, id)?;
    remove_disks(inner, id, None)?;
    gone(fs_err::remove_dir_all(inner.config.sandbox_dir(id))).step("removing the sandbox's folder")
}

/// Removes the sandbox's disks of all epochs but the one to keep.
pub(super) fn remove_disks(
    inner: &Inner,
    id: &SandboxId,
    keep: Option<&Path>,
) -> Result<(), RuntimeError> {
    let step = "removing the sandbox's disk";
    for entry in fs_err::read_dir(inner.config.disks()).step(step)? {
        let entry = entry.step(step)?;
        let name = entry.file_name();
        let of = name
            .to_str()
            .and_then(|name| owner(name.split_once('.')?.0));
        if of == Some(id.as_str()) && keep != Some(entry.path().as_path()) {
            gone(fs_err::remove_file(entry.path())).step(step)?;
        }
    }
    Ok(())
}

/// The sandbox a disk's name, without its ending, belongs to.
pub(super) fn owner(stem: &str) -> Option<&str> {
    stem.split(EPOCH_MARK).next()
}
