//! Settings of the runtime and where its files are.

use std::path::{Path, PathBuf};

use miosa_api::id::SandboxId;

/// Between a sandbox's id and its disk's epoch in a file's name; in no id.
pub(crate) const EPOCH_MARK: char = '~';

/// Settings of the runtime.
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// The `miosa` program, started as `<program> shim <sandbox folder>`.
    pub program: PathBuf,
    /// The static guest agent on the host.
    pub guest_binary: PathBuf,
    /// Folder for sockets and state of running sandboxes (short path, on a local file system).
    pub run_dir: PathBuf,
    /// Folder for disks.
    pub data_dir: PathBuf,
}

impl RuntimeConfig {
    /// Where a sandbox's sockets and state are.
    #[must_use]
    pub fn sandbox_dir(&self, id: &SandboxId) -> PathBuf {
        Path::new(&self.run_dir).join("sandboxes").join(id.as_str())
    }

    /// Where all sandboxes' folders are.
    pub(crate) fn sandboxes(&self) -> PathBuf {
        self.run_dir.join("sandboxes")
    }

    /// Which sandbox has which range of user ids.
    pub(crate) fn uid_slots(&self) -> PathBuf {
        self.run_dir.join("uids")
    }

    /// Where disks are.
    pub(crate) fn disks(&self) -> PathBuf {
        self.data_dir.join("disks")
    }

    /// A sandbox's disk of this epoch.
    pub(crate) fn disk(&self, id: &SandboxId, epoch: u64) -> PathBuf {
        match epoch {
            0 => self.disks().join(format!("{id}.img")),
            epoch => self.disks().join(format!("{id}{EPOCH_MARK}{epoch}.img")),
        }
    }

    /// Where snapshots are.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.data_dir.join("snapshots")
    }

    /// A snapshot's disk.
    pub(crate) fn snapshot(&self, name: &str) -> PathBuf {
        self.snapshots().join(format!("{name}.img"))
    }
}
