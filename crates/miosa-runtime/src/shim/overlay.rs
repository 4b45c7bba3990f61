//! The sandbox's root: its layers and its upper layer, put together in its own namespace.
//!
//! The guest's process mounts it itself: over mapped layers the kernel makes the overlay writable
//! only for a mounter whose users are mapped the same way.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::upper::Upper;
use crate::error::{RuntimeError, Step};

/// Where everything is put together; what the host has there is hidden from this process alone.
const SCRATCH: &str = "/tmp";
/// The root before it is one.
pub(super) const NEW_ROOT: &str = "/tmp/root";

/// Mounts the root at [`NEW_ROOT`].
pub(super) fn mount(
    layers: &[OwnedFd],
    upper_tree: &OwnedFd,
    upper: &Upper,
) -> Result<(), RuntimeError> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).step("making the mounts private")?;
    rustix::mount::mount(
        "tmpfs",
        SCRATCH,
        c"tmpfs",
        MountFlags::NODEV,
        c"mode=755,size=1m",
    )
    .step("mounting a place to put the root together")?;
    let scratch = Path::new(SCRATCH);
    let mut lower = Vec::new();
    for (index, layer) in layers.iter().enumerate() {
        lower.push(place(layer, &scratch.join(format!("l{index}")))?);
    }
    let tree = place(upper_tree, &scratch.join("upper"))?;
    rustix::fs::mkdir(NEW_ROOT, Mode::from(0o755)).step("making the new root")?;
    let (upper, work) = (tree.join(&upper.upper), tree.join(&upper.work));
    match by_context(&lower, &upper, &work) {
        // Kernels before 6.5 know no `lowerdir+`.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            by_options(&lower, &upper, &work).step("mounting the root")
        }
        other => other.step("mounting the root"),
    }
}

/// Attaches a detached mount at a new folder.
fn place(tree: &OwnedFd, target: &Path) -> Result<PathBuf, RuntimeError> {
    rustix::fs::mkdir(target, Mode::from(0o755)).step("making a mount point")?;
    move_mount(
        tree,
        "",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .step("mounting a layer")?;
    Ok(target.to_owned())
}

/// One call a layer: takes hundreds.
fn by_context(lower: &[PathBuf], upper: &Path, work: &Path) -> io::Result<()> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for layer in lower {
        fsconfig_set_string(&context, "lowerdir+", layer)?;
    }
    fsconfig_set_string(&context, "upperdir", upper)?;
    fsconfig_set_string(&context, "workdir", work)?;
    fsconfig_set_flag(&context, "userxattr")?;
    fsconfig_create(&context)?;
    let flags = MountAttrFlags::MOUNT_ATTR_NODEV;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
    move_mount(
        &root,
        "",
        CWD,
        NEW_ROOT,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )?;
    Ok(())
}

/// One line of options, one page long at most.
fn by_options(lower: &[PathBuf], upper: &Path, work: &Path) -> io::Result<()> {
    let lower: Vec<_> = lower.iter().map(|layer| layer.to_string_lossy()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr",
        lower.join(":"),
        upper.display(),
        work.display()
    );
    let options = std::ffi::CString::new(options)?;
    Ok(rustix::mount::mount(
        "overlay",
        NEW_ROOT,
        c"overlay",
        MountFlags::NODEV,
        options.as_c_str(),
    )?)
}
