//! Snapshots under a sandbox's disk: read-only disks, each mounted in this mount namespace alone.
//!
//! Many sandboxes may lie over one snapshot at a time; each shim has a loop device of its own for it.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use super::upper::UPPER;
use crate::error::{RuntimeError, Step};
use crate::files::SandboxFiles;
use crate::sys::loopdev;

/// Mounts the snapshots; their layers, topmost first.
pub(super) fn mount(
    images: &[PathBuf],
    files: &SandboxFiles,
) -> Result<Vec<PathBuf>, RuntimeError> {
    let mut layers = Vec::with_capacity(images.len());
    for (index, image) in images.iter().enumerate() {
        let target = mount_point(files, index);
        fs_err::create_dir_all(&target).step("making a snapshot's mount point")?;
        mount_one(image, &target)?;
        layers.push(target.join(UPPER));
    }
    Ok(layers)
}

fn mount_one(image: &Path, target: &Path) -> Result<(), RuntimeError> {
    let file = fs_err::File::open(image).step("opening a snapshot")?;
    let device = loopdev::attach(&file).step("attaching a snapshot to a loop device")?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    rustix::mount::mount(&device.path, target, c"ext4", flags, None).step("mounting a snapshot")
}

/// Unmounts them again.
pub(super) fn unmount(images: &[PathBuf], files: &SandboxFiles) -> Result<(), RuntimeError> {
    for index in 0..images.len() {
        rustix::mount::unmount(mount_point(files, index), UnmountFlags::DETACH)
            .step("unmounting a snapshot")?;
    }
    files
        .remove_below()
        .step("removing the snapshots' mount points")
}

fn mount_point(files: &SandboxFiles, index: usize) -> PathBuf {
    files.below_mounts().join(index.to_string())
}
