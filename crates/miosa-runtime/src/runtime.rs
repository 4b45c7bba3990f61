//! What the server may ask of what isolates: the trait and the values it speaks in.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use miosa_api::id::SandboxId;

use crate::error::RuntimeError;

/// A boxed future, so that `dyn Runtime` works.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything needed to start one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SandboxSpec {
    /// Its id.
    pub id: SandboxId,
    /// Counts its starts; the broker prefers listeners of a higher one.
    pub generation: u64,
    /// Read-only layers of its root, topmost first.
    pub layers: Vec<PathBuf>,
    /// Snapshots its disk lies over, topmost first, themselves over the layers.
    #[serde(default)]
    pub below: Vec<String>,
    /// Where writes go.
    pub upper: Upper,
    /// Which of its disks: a restored sandbox begins a new one, and a start removes all others.
    #[serde(default)]
    pub disk_epoch: u64,
    /// Memory limit in MiB.
    pub memory_mb: u32,
    /// CPU limit in virtual CPUs.
    pub cpu_count: u32,
    /// Processes and threads.
    pub pids_max: u32,
    /// Host name inside.
    pub hostname: String,
    /// Folder made if absent and used when a command names none.
    pub workdir: String,
    /// Network.
    pub network: Network,
    /// Merged trust bundle to mount at [`miosa_api::guest::CA_BUNDLE_PATH`] and over
    /// `/etc/ssl/certs/ca-certificates.crt`, read-only.
    pub ca_bundle: Option<PathBuf>,
    /// The sandbox's own CA certificate to mount at [`miosa_api::guest::CA_PATH`], read-only.
    pub ca: Option<PathBuf>,
}

/// Where a sandbox's writes go.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upper {
    /// An own disk of this many MiB, made at the first start and kept until `destroy`.
    Disk(u32),
    /// A folder on the host (template builds): what was written is found there afterwards, owned as inside.
    Folder(PathBuf),
}

/// A sandbox's network.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// No wire but the broker that listens on this socket for handed-over listeners.
    Broker(PathBuf),
    /// Loopback only.
    None,
}

/// A started sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Process id of the guest agent as the host sees it.
    pub init_pid: i32,
}

/// A sandbox found on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: SandboxId,
    /// Its generation when it was started.
    pub generation: u64,
    /// Whether its guest agent's process lives.
    pub alive: bool,
    /// Whether it is frozen.
    pub frozen: bool,
}

/// What a sandbox uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in microseconds.
    pub cpu_usec: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Times the kernel killed for memory.
    pub oom_kills: u64,
}

/// A snapshot that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Bytes it takes on the host's disk where no blocks are shared.
    pub bytes: u64,
    /// How long the sandbox was held still for it; nothing when it was not running.
    pub held: Duration,
}

/// What isolates.
pub trait Runtime: Send + Sync {
    /// Its name in the API: `container`.
    fn name(&self) -> &'static str;

    /// Starts a sandbox and returns once its guest socket accepts. After an error nothing is left
    /// but a disk that was there before.
    fn start<'a>(&'a self, spec: &'a SandboxSpec) -> BoxFuture<'a, Result<Started, RuntimeError>>;

    /// Freezes all its processes.
    fn freeze<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Lets them go on.
    fn thaw<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Kills all its processes (frozen ones too) and its shim; keeps its disk. Fine when it is not running.
    fn stop<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// `stop`, and removes everything of it. Fine when there is nothing.
    fn destroy<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Keeps the disk of this epoch as it is now under a plain name, whole or not at all. A running
    /// sandbox is held still meanwhile, and goes on afterwards. One change of a sandbox at a time.
    fn snapshot<'a>(
        &'a self,
        id: &'a SandboxId,
        disk_epoch: u64,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Taken, RuntimeError>>;

    /// Removes a snapshot that no sandbox lies over. Fine when there is none.
    fn remove_snapshot<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;

    /// Names of all snapshots on this host.
    fn snapshots(&self) -> BoxFuture<'_, Result<Vec<String>, RuntimeError>>;

    /// Everything of this runtime on this host, running or left over.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Found>, RuntimeError>>;

    /// Resolves when the sandbox's guest agent has ended, with why (exit status or `killed for memory`).
    fn wait_exit<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, String>;

    /// What it uses now.
    fn usage<'a>(&'a self, id: &'a SandboxId) -> BoxFuture<'a, Result<Usage, RuntimeError>>;

    /// The Unix socket the host dials to reach the guest agent (HTTP, [`miosa_api::guest`]).
    fn guest_socket(&self, id: &SandboxId) -> PathBuf;

    /// Folder of the sandbox on the host, for the server's own small files (CA bundle); gone after `destroy`.
    fn sandbox_dir(&self, id: &SandboxId) -> PathBuf;
}
