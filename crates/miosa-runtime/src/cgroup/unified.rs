//! A v2 tree with controllers.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::mounts::Mounts;
use super::{
    CPU_PERIOD_USEC, Driver, Limits, PARENT, keyed, number, remove_when_empty, wait_until, write,
};
use crate::runtime::Usage;

const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// The v2 tree; also the part of it that needs no controller.
pub(super) struct Unified {
    root: PathBuf,
}

impl Unified {
    /// The tree, if it has the controllers and they can be given to groups.
    pub(super) fn find(mounts: &Mounts) -> Option<Self> {
        let root = mounts.unified.clone()?;
        let available = fs_err::read_to_string(root.join("cgroup.controllers")).ok()?;
        let has = |name| available.split_whitespace().any(|found| found == name);
        if !CONTROLLERS.into_iter().all(has) {
            return None;
        }
        for dir in [root.clone(), root.join(PARENT)] {
            write(&dir, "cgroup.subtree_control", "+memory +pids +cpu").ok()?;
        }
        Some(Self { root })
    }

    /// The tree without asking for controllers.
    pub(super) fn bare(root: PathBuf) -> Self {
        Self { root }
    }

    /// Makes the group's folder.
    pub(super) fn make(&self, group: &str) -> io::Result<PathBuf> {
        let dir = self.root.join(group);
        fs_err::create_dir_all(&dir)?;
        Ok(dir)
    }
}

impl Driver for Unified {
    fn create(&self, group: &str, limits: Limits) -> io::Result<()> {
        let dir = self.make(group)?;
        write(&dir, "memory.max", limits.memory_bytes)?;
        optional(write(&dir, "memory.swap.max", 0))?;
        write(&dir, "pids.max", limits.pids)?;
        write(
            &dir,
            "cpu.max",
            format!("{} {CPU_PERIOD_USEC}", limits.cpu_quota_usec),
        )
    }

    fn clone_target(&self, group: &str) -> Option<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(self.root.join(group), flags, Mode::empty()).ok()
    }

    fn add(&self, group: &str, pid: i32) -> io::Result<()> {
        write(&self.root.join(group), "cgroup.procs", pid)
    }

    fn freeze(&self, group: &str, frozen: bool) -> io::Result<()> {
        write(&self.root.join(group), "cgroup.freeze", u8::from(frozen))?;
        wait_until("processes do not freeze", || {
            Ok(self.frozen(group) == frozen)
        })
    }

    fn frozen(&self, group: &str) -> bool {
        keyed(&self.root.join(group), "cgroup.events", "frozen") == 1
    }

    fn kill(&self, group: &str) -> io::Result<()> {
        optional(write(&self.root.join(group), "cgroup.kill", 1))
    }

    fn remove(&self, group: &str) -> io::Result<()> {
        remove_when_empty(&self.root.join(group))
    }

    fn usage(&self, group: &str) -> io::Result<Usage> {
        let dir = self.root.join(group);
        Ok(Usage {
            cpu_usec: keyed(&dir, "cpu.stat", "usage_usec"),
            memory_bytes: number(&dir, "memory.current"),
            pids: number(&dir, "pids.current"),
            oom_kills: keyed(&dir, "memory.events", "oom_kill"),
        })
    }

    fn exists(&self, group: &str) -> bool {
        Path::new(&self.root.join(group)).exists()
    }
}

/// Takes an absent control file for done.
fn optional(result: io::Result<()>) -> io::Result<()> {
    crate::files::gone(result)
}
