//! What the host shows of a sandbox, whatever the server says.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use miosa_testkit::leftover;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::Stage;

impl Stage {
    /// Folder of a sandbox's sockets and state.
    pub fn sandbox_dir(&self, id: &str) -> PathBuf {
        self.world.folder().join("run/sandboxes").join(id)
    }

    /// Image of a sandbox's disk.
    pub fn disk(&self, id: &str) -> PathBuf {
        self.world
            .folder()
            .join(format!(".miosa/data/disks/{id}.img"))
    }

    /// Files of snapshots, and of parts of them.
    pub fn snapshots(&self) -> Vec<String> {
        names(&self.world.folder().join(".miosa/data/snapshots")).collect()
    }

    /// Control groups of a sandbox.
    pub fn groups(&self, id: &str) -> impl Iterator<Item = PathBuf> {
        leftover::control_groups()
            .into_iter()
            .filter(move |group| group.ends_with(id))
    }

    /// Ids of all sandboxes of which the host has a folder, or a disk (or a part of one).
    pub fn ids_with_files(&self) -> BTreeSet<String> {
        let disks = self.world.folder().join(".miosa/data/disks");
        let disks = names(&disks)
            .filter(|name| !name.starts_with('.') && !name.starts_with("blank-"))
            .map(|name| name.split('.').next().unwrap_or_default().to_owned());
        names(&self.world.folder().join("run/sandboxes"))
            .chain(disks)
            .collect()
    }

    /// Takes down the ids there are now. Control groups are the machine's and bear no world's name:
    /// without the ids, those of other worlds would be taken for orphans.
    pub fn remember(&mut self) {
        let ids = self.ids_with_files();
        self.known.extend(ids);
    }

    /// Ids of this world's sandboxes, of which the host has anything.
    pub fn ids_on_host(&self) -> BTreeSet<String> {
        let with_groups = self.known.iter().filter(|id| self.groups(id).count() > 0);
        let mut ids = self.ids_with_files();
        ids.extend(with_groups.cloned());
        ids
    }

    /// Everything that runs for a sandbox: processes, mounts in any namespace, loop devices, control groups.
    pub fn running_parts(&self, id: &str) -> Vec<String> {
        let mut found: Vec<String> = leftover::find(self.world.folder())
            .into_iter()
            .filter(|line| line.contains(id) && !line.starts_with("folder: "))
            .collect();
        for pid in pids() {
            let mounts = read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            if mounts.contains(id) {
                found.push(format!("mount namespace of process {pid}"));
            }
        }
        let groups = self.groups(id);
        found.extend(groups.map(|group| format!("control group: {}", group.display())));
        found
    }

    /// [`Stage::running_parts`] and its files.
    pub fn remains(&self, id: &str) -> Vec<String> {
        let mut found = self.running_parts(id);
        let disk = self.disk(id);
        let files = [self.sandbox_dir(id), disk.with_extension("part"), disk];
        let there = files.into_iter().filter(|file| file.exists());
        found.extend(there.map(|file| file.display().to_string()));
        found
    }

    /// A file in a running sandbox, read without the server's help.
    pub fn inside(&self, id: &str, path: &str) -> Result<String> {
        let state = fs_err::read(self.sandbox_dir(id).join("state.json"))?;
        let state: serde_json::Value = serde_json::from_slice(&state)?;
        let pid = state["init"]["pid"].as_i64().context("no guest")?;
        Ok(read_to_string(format!("/proc/{pid}/root{path}")).unwrap_or_default())
    }

    /// Process of this world whose command line has a word and a text.
    pub fn process(&self, role: &str, text: &str) -> Result<Pid> {
        let folder = self.world.folder().to_string_lossy().into_owned();
        for pid in pids() {
            let line = read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let is_role = line.split('\0').any(|word| word == role);
            if is_role && line.contains(&folder) && line.contains(text) {
                return Pid::from_raw(pid).context("not a pid");
            }
        }
        bail!("no process `{role}` with {text}")
    }
}

/// Kills one process with SIGKILL.
pub fn kill(pid: Pid) -> Result<()> {
    Ok(kill_process(pid, Signal::KILL)?)
}

fn pids() -> impl Iterator<Item = i32> {
    names(Path::new("/proc")).filter_map(|name| name.parse().ok())
}

/// Names in a folder; none when it is not there.
fn names(folder: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}
