//! The files of one sandbox on the host: names and contents. They are the only thing a restarted
//! server knows of a running sandbox.

use std::io;
use std::path::{Path, PathBuf};

use miosa_api::id::SandboxId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::process::ProcessId;
use crate::runtime::SandboxSpec;

/// Paths below a sandbox's folder.
#[derive(Debug, Clone)]
pub(crate) struct SandboxFiles {
    /// The folder.
    pub(crate) dir: PathBuf,
}

impl SandboxFiles {
    /// Paths below `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// The OCI configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.dir.join("config.json")
    }

    /// [`Launch`].
    pub(crate) fn launch(&self) -> PathBuf {
        self.dir.join("spec.json")
    }

    /// [`State`].
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.join("state.json")
    }

    /// [`Ended`].
    pub(crate) fn exit(&self) -> PathBuf {
        self.dir.join("exit.json")
    }

    /// What the shim has to say.
    pub(crate) fn shim_log(&self) -> PathBuf {
        self.dir.join("shim.log")
    }

    /// The beginning of what the guest agent writes to its standard error.
    pub(crate) fn guest_log(&self) -> PathBuf {
        self.dir.join("guest.log")
    }

    /// The guest agent's socket.
    pub(crate) fn guest_socket(&self) -> PathBuf {
        self.dir.join("guest.sock")
    }

    /// Where the shim mounts the disk, for itself alone.
    pub(crate) fn disk_mount(&self) -> PathBuf {
        self.dir.join("disk")
    }

    /// Below it the shim mounts the snapshots under the disk, for itself alone.
    pub(crate) fn below_mounts(&self) -> PathBuf {
        self.dir.join("below")
    }

    /// Removes the mount points of snapshots. What is mounted there is read-only and stays.
    pub(crate) fn remove_below(&self) -> io::Result<()> {
        gone(fs_err::remove_dir_all(self.below_mounts()))
    }

    /// Removes what is of no use once the sandbox has ended, but keeps how it ended.
    pub(crate) fn remove_runtime(&self) -> io::Result<()> {
        gone(fs_err::remove_file(self.guest_socket()))?;
        self.remove_below()?;
        gone(fs_err::remove_dir(self.disk_mount()))
    }

    /// Removes what a start made, and the folder when the server left nothing in it.
    pub(crate) fn remove_own(&self) -> io::Result<()> {
        let own = [
            self.config(),
            self.launch(),
            self.state(),
            self.exit(),
            self.shim_log(),
            self.guest_log(),
            self.guest_socket(),
        ];
        for path in own {
            gone(fs_err::remove_file(path))?;
        }
        self.remove_below()?;
        gone(fs_err::remove_dir(self.disk_mount()))?;
        match fs_err::remove_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            other => gone(other),
        }
    }
}

/// What the shim is told beyond the OCI configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Launch {
    /// The sandbox.
    pub(crate) spec: SandboxSpec,
    /// Image of its disk; without it the upper layer is a folder.
    pub(crate) disk: Option<PathBuf>,
    /// Images of the snapshots under it, topmost first.
    pub(crate) below: Vec<PathBuf>,
    /// Name of its control group, below the root of every hierarchy.
    pub(crate) cgroup: String,
}

/// Who runs a sandbox.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct State {
    /// The sandbox's generation.
    pub(crate) generation: u64,
    /// The shim.
    pub(crate) shim: ProcessId,
    /// The guest agent, once started.
    pub(crate) init: Option<ProcessId>,
}

/// How a sandbox ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// In words.
    pub(crate) reason: String,
}

/// The one line a shim writes to its standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Report {
    /// The sandbox runs.
    Ready {
        /// The guest agent as the host sees it.
        pid: i32,
    },
    /// It does not, and all the shim made is undone.
    Error {
        /// Whether the host's disk is full.
        disk_full: bool,
        /// In words.
        message: String,
    },
}

/// Takes "there is none" for done.
pub(crate) fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Reads a JSON file; `None` when there is none.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a JSON file whole or not at all.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs_err::write(&beside, serde_json::to_vec(value)?)?;
    fs_err::rename(&beside, path)
}

/// Whether the id may be part of a path.
pub(crate) fn is_plain(id: &SandboxId) -> bool {
    is_plain_name(id.as_str())
}

/// Whether a name may be part of a path.
pub(crate) fn is_plain_name(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !id.is_empty() && id.len() <= 64 && id.chars().all(plain)
}
