//! Everything of the host that becomes part of the sandbox, as detached mounts.
//!
//! Opened by the shim, which may read them, and mounted by the guest's process, which may not.
//! Layers and the upper layer are shown with owners mapped: root of the sandbox is another user on
//! the host, and on disk its files belong to user 0 all the same.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Mount;
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsmount, fsopen,
    open_tree,
};

use super::upper::Upper;
use crate::error::{RuntimeError, Step};
use crate::sys::mount::{Attributes, map_ids, set_attributes};

/// Whether the shim opens this mount, rather than the guest's process making it.
pub(super) fn from_host(mount: &Mount) -> bool {
    matches!(mount.typ().as_deref(), Some("bind" | "sysfs"))
}

/// Opens layers (topmost first), the upper layer, and the mounts [`from_host`], in this order.
pub(super) fn open(
    layers: &[impl AsRef<Path>],
    upper: &Upper,
    mounts: &[Mount],
    user_ns: BorrowedFd<'_>,
) -> Result<Vec<OwnedFd>, RuntimeError> {
    let mut trees = Vec::new();
    for layer in layers {
        let tree = clone(layer.as_ref())?;
        set_attributes(tree.as_fd(), Attributes::READ_ONLY).step("making a layer read-only")?;
        map(layer.as_ref(), &tree, user_ns)?;
        trees.push(tree);
    }
    let tree = clone(&upper.tree)?;
    map(&upper.tree, &tree, user_ns)?;
    trees.push(tree);
    for mount in mounts.iter().filter(|mount| from_host(mount)) {
        trees.push(if mount.typ().as_deref() == Some("sysfs") {
            sysfs().step("mounting /sys")?
        } else {
            bound(mount, user_ns)?
        });
    }
    Ok(trees)
}

fn clone(path: &Path) -> Result<OwnedFd, RuntimeError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, flags).step(format!("opening {}", path.display()))
}

fn map(path: &Path, tree: &OwnedFd, user_ns: BorrowedFd<'_>) -> Result<(), RuntimeError> {
    map_ids(tree.as_fd(), user_ns).step(format!(
        "mapping the owners of {} (its file system must know id-mapped mounts: ext4, xfs, btrfs, tmpfs)",
        path.display()
    ))
}

fn bound(mount: &Mount, user_ns: BorrowedFd<'_>) -> Result<OwnedFd, RuntimeError> {
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    let tree = clone(source)?;
    for option in mount.options().iter().flatten() {
        let attributes = match option.as_str() {
            "ro" => Attributes::READ_ONLY,
            "nosuid" => Attributes::NO_SUID,
            "nodev" => Attributes::NO_DEV,
            "noexec" => Attributes::NO_EXEC,
            _ => continue,
        };
        set_attributes(tree.as_fd(), attributes).step("restricting a mount")?;
    }
    // Where the file system cannot (devices among them), what others may read is enough.
    map_ids(tree.as_fd(), user_ns).ok();
    Ok(tree)
}

/// The kernel's view of devices, which shows the network namespace it was mounted in: the sandbox's.
/// The guest's process may not mount it, because that namespace is not its own.
fn sysfs() -> io::Result<OwnedFd> {
    let context = fsopen("sysfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}
