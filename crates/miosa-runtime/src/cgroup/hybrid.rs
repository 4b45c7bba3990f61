//! v1 hierarchies for limits; a v2 tree without controllers beside them, where there is one, for
//! freezing, killing and cloning into, else the v1 freezer.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};

use super::mounts::Mounts;
use super::unified::Unified;
use super::{CPU_PERIOD_USEC, Driver, Limits, keyed, number, remove_when_empty, wait_until, write};
use crate::runtime::Usage;

/// The v1 hierarchies this crate uses.
pub(super) struct Hybrid {
    memory: PathBuf,
    pids: PathBuf,
    cpu: PathBuf,
    cpuacct: Option<PathBuf>,
    freezer: Option<PathBuf>,
    tree: Option<Unified>,
}

impl Hybrid {
    /// The hierarchies, if all that are needed are there.
    pub(super) fn find(mounts: &Mounts) -> Option<Self> {
        let get = |name: &str| mounts.controllers.get(name).cloned();
        let kills = |root: &Path| root.join(super::PARENT).join("cgroup.kill").exists();
        let tree = mounts
            .unified
            .clone()
            .filter(|root| kills(root))
            .map(Unified::bare);
        let freezer = get("freezer");
        (tree.is_some() || freezer.is_some()).then_some(())?;
        Some(Self {
            memory: get("memory")?,
            pids: get("pids")?,
            cpu: get("cpu")?,
            cpuacct: get("cpuacct"),
            freezer,
            tree,
        })
    }

    /// Every v1 folder of the group once, though controllers may share a hierarchy.
    fn dirs(&self, group: &str) -> BTreeSet<PathBuf> {
        let optional = [&self.cpuacct, &self.freezer].into_iter().flatten();
        let all = [&self.memory, &self.pids, &self.cpu]
            .into_iter()
            .chain(optional);
        all.map(|root| root.join(group)).collect()
    }

    fn freezer(&self, group: &str) -> io::Result<PathBuf> {
        let root = self.freezer.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        Ok(root.join(group))
    }

    fn kill_each(&self, group: &str) -> io::Result<()> {
        let procs = self.pids.join(group).join("cgroup.procs");
        wait_until("processes do not end", || {
            let list = fs_err::read_to_string(&procs).unwrap_or_default();
            for pid in list
                .lines()
                .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            {
                // One that has ended meanwhile is what is wanted.
                rustix::process::kill_process(pid, Signal::KILL).ok();
            }
            // A frozen process dies when it is thawed.
            crate::files::gone(write(&self.freezer(group)?, "freezer.state", "THAWED"))?;
            Ok(list.is_empty())
        })
    }
}

impl Driver for Hybrid {
    fn create(&self, group: &str, limits: Limits) -> io::Result<()> {
        for dir in self.dirs(group) {
            fs_err::create_dir_all(dir)?;
        }
        if let Some(tree) = &self.tree {
            tree.make(group)?;
        }
        let memory = self.memory.join(group);
        write(&memory, "memory.limit_in_bytes", limits.memory_bytes)?;
        crate::files::gone(write(
            &memory,
            "memory.memsw.limit_in_bytes",
            limits.memory_bytes,
        ))?;
        write(&self.pids.join(group), "pids.max", limits.pids)?;
        let cpu = self.cpu.join(group);
        write(&cpu, "cpu.cfs_period_us", CPU_PERIOD_USEC)?;
        write(&cpu, "cpu.cfs_quota_us", limits.cpu_quota_usec)
    }

    fn clone_target(&self, group: &str) -> Option<OwnedFd> {
        self.tree.as_ref()?.clone_target(group)
    }

    fn add(&self, group: &str, pid: i32) -> io::Result<()> {
        for dir in self.dirs(group) {
            write(&dir, "cgroup.procs", pid)?;
        }
        self.tree
            .as_ref()
            .map_or(Ok(()), |tree| tree.add(group, pid))
    }

    fn freeze(&self, group: &str, frozen: bool) -> io::Result<()> {
        if let Some(tree) = &self.tree {
            return tree.freeze(group, frozen);
        }
        let state = if frozen { "FROZEN" } else { "THAWED" };
        let dir = self.freezer(group)?;
        write(&dir, "freezer.state", state)?;
        wait_until("processes do not freeze", || {
            Ok(fs_err::read_to_string(dir.join("freezer.state"))?.trim() == state)
        })
    }

    fn frozen(&self, group: &str) -> bool {
        match &self.tree {
            Some(tree) => tree.frozen(group),
            None => self.freezer(group).is_ok_and(|dir| {
                fs_err::read_to_string(dir.join("freezer.state"))
                    .is_ok_and(|text| text.trim() == "FROZEN")
            }),
        }
    }

    fn kill(&self, group: &str) -> io::Result<()> {
        match &self.tree {
            Some(tree) => tree.kill(group),
            None => self.kill_each(group),
        }
    }

    fn remove(&self, group: &str) -> io::Result<()> {
        for dir in self.dirs(group) {
            remove_when_empty(&dir)?;
        }
        self.tree.as_ref().map_or(Ok(()), |tree| tree.remove(group))
    }

    fn usage(&self, group: &str) -> io::Result<Usage> {
        let memory = self.memory.join(group);
        let cpu = self.cpuacct.as_ref().map(|root| root.join(group));
        Ok(Usage {
            cpu_usec: cpu.map_or(0, |dir| number(&dir, "cpuacct.usage") / 1000),
            memory_bytes: number(&memory, "memory.usage_in_bytes"),
            pids: number(&self.pids.join(group), "pids.current"),
            oom_kills: keyed(&memory, "memory.oom_control", "oom_kill"),
        })
    }

    fn exists(&self, group: &str) -> bool {
        self.memory.join(group).exists()
    }
}
