//! Snapshots: copies of a sandbox's disk that nobody writes to any more.
//!
//! A disk holds only what was written over what lies under it, so a copy costs what changed since the
//! sandbox was made, forked or restored; where the file system shares blocks, it costs nothing of it.
//!
//! INVARIANT: a file with a snapshot's name is whole and on the disk. Until then it has another ending.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use miosa_api::id::SandboxId;

use super::Inner;
use crate::config::RuntimeConfig;
use crate::disk;
use crate::error::{RuntimeError, Step};
use crate::files::{gone, is_plain_name};
use crate::process::ProcessId;
use crate::runtime::Taken;

/// Ending of a snapshot that is being made.
const PARTIAL: &str = "part";
/// Bytes of a block as files count them.
const BLOCK: u64 = 512;
/// How long the kernel may take to let go of the disk of a sandbox that has ended.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
const RELEASE_POLL: Duration = Duration::from_millis(2);

/// Keeps a sandbox's disk under a name.
pub(super) fn take(
    inner: &Inner,
    id: &SandboxId,
    epoch: u64,
    name: &str,
) -> Result<Taken, RuntimeError> {
    let image = inner.config.disk(id, epoch);
    if !is_plain_name(name) || !image.exists() {
        return Err(RuntimeError::NotFound(id.clone()));
    }
    let dir = inner.config.snapshots();
    // What a sandbox wrote is for nobody else on the host.
    fs_err::set_permissions(&dir, PermissionsExt::from_mode(0o700))
        .step("closing the snapshots")?;
    let target = inner.config.snapshot(name);
    let partial = target.with_extension(PARTIAL);
    let kept = hold_and_copy(inner, id, &image, &partial).and_then(|(copy, held)| {
        let step = "writing the snapshot";
        copy.sync_all().step(step)?;
        let bytes = copy.metadata().step(step)?.blocks() * BLOCK;
        fs_err::rename(&partial, &target).step(step)?;
        fs_err::File::open(&dir)
            .and_then(|dir| dir.sync_all())
            .step(step)?;
        Ok(Taken { bytes, held })
    });
    kept.inspect_err(|_| drop(fs_err::remove_file(&partial)))
}

fn hold_and_copy(
    inner: &Inner,
    id: &SandboxId,
    image: &Path,
    partial: &Path,
) -> Result<(fs_err::File, Duration), RuntimeError> {
    let shim = inner.state(id)?.map(|state| state.shim);
    let begin = Instant::now();
    let Some(shim) = shim.filter(ProcessId::alive) else {
        wait_for_release(image)?;
        let copy = disk::copy(image, partial).step("copying the sandbox's disk")?;
        return Ok((copy, Duration::ZERO));
    };
    let held = Held::new(inner, id)?;
    flush(inner, id, &shim)?;
    let copy = disk::copy(image, partial).step("copying the sandbox's disk")?;
    held.release()?;
    Ok((copy, begin.elapsed()))
}

/// A sandbox that stands still, and goes on when this is gone, unless it stood still before.
struct Held<'a> {
    inner: &'a Inner,
    /// Its group, while it is to be thawed.
    group: Option<String>,
}

impl<'a> Held<'a> {
    fn new(inner: &'a Inner, id: &SandboxId) -> Result<Self, RuntimeError> {
        let group = inner.running_group(id)?;
        if inner.cgroups.frozen(&group) {
            return Ok(Self { inner, group: None });
        }
        let held = Self {
            inner,
            group: Some(group.clone()),
        };
        inner
            .cgroups
            .freeze(&group, true)
            .step("holding the sandbox still")?;
        Ok(held)
    }

    fn release(mut self) -> Result<(), RuntimeError> {
        self.group.take().map_or(Ok(()), |group| {
            self.inner
                .cgroups
                .freeze(&group, false)
                .step("letting the sandbox go on")
        })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.group.take()
            && let Err(error) = self.inner.cgroups.freeze(&group, false)
        {
            tracing::error!(group, %error, "a sandbox that was held for a snapshot does not go on");
        }
    }
}

/// Brings what the sandbox wrote from memory into its disk's file. The disk is mounted where the shim
/// alone sees it.
fn flush(inner: &Inner, id: &SandboxId, shim: &ProcessId) -> Result<(), RuntimeError> {
    let step = "writing out the sandbox's disk";
    let mount = inner.files(id)?.disk_mount();
    let seen = PathBuf::from(format!("/proc/{}/root", shim.pid));
    let mount = seen.join(mount.strip_prefix("/").unwrap_or(&mount));
    let root = fs_err::File::open(mount).step(step)?;
    rustix::fs::syncfs(&root).step(step)
}

/// Waits until no loop device has the disk of an ended sandbox.
fn wait_for_release(image: &Path) -> Result<(), RuntimeError> {
    let step = "waiting for the sandbox's disk";
    // Devices are listed with the path that the kernel knows.
    let image = fs_err::canonicalize(image).step(step)?;
    let end = Instant::now() + RELEASE_TIMEOUT;
    while is_in_use(&image).step(step)? {
        if Instant::now() > end {
            return Err(io::Error::from(io::ErrorKind::ResourceBusy)).step(step);
        }
        std::thread::sleep(RELEASE_POLL);
    }
    Ok(())
}

fn is_in_use(image: &Path) -> io::Result<bool> {
    for device in fs_err::read_dir("/sys/block")? {
        let backing = device?.path().join("loop/backing_file");
        let file = fs_err::read_to_string(backing).unwrap_or_default();
        if Path::new(file.trim_end()) == image {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files of snapshots that a sandbox lies over.
pub(super) fn images(inner: &Inner, names: &[String]) -> Result<Vec<PathBuf>, RuntimeError> {
    let image = |name: &String| {
        let image = inner.config.snapshot(name);
        if is_plain_name(name) && image.exists() {
            return Ok(image);
        }
        Err(RuntimeError::Start(format!(
            "the snapshot {name} it lies over is not on this host"
        )))
    };
    names.iter().map(image).collect()
}

/// Removes a snapshot.
pub(super) fn remove(inner: &Inner, name: &str) -> Result<(), RuntimeError> {
    if !is_plain_name(name) {
        return Ok(());
    }
    let image = inner.config.snapshot(name);
    for file in [image.with_extension(PARTIAL), image] {
        gone(fs_err::remove_file(file)).step("removing a snapshot")?;
    }
    Ok(())
}

/// All snapshots.
pub(super) fn list(inner: &Inner) -> Result<Vec<String>, RuntimeError> {
    let files = files(&inner.config, "img")?.into_iter();
    let name = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    Ok(files.filter_map(name).collect())
}

/// Removes what an ended server left half made. Called before this one makes any.
pub(super) fn clean_up(config: &RuntimeConfig) -> Result<(), RuntimeError> {
    for path in files(config, PARTIAL)? {
        gone(fs_err::remove_file(path)).step("removing half a snapshot")?;
    }
    Ok(())
}

fn files(config: &RuntimeConfig, ending: &str) -> Result<Vec<PathBuf>, RuntimeError> {
    let step = "listing snapshots";
    let mut found = Vec::new();
    for entry in fs_err::read_dir(config.snapshots()).step(step)? {
        let path = entry.step(step)?.path();
        if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
    Ok(found)
}
