//! What is mounted in the sandbox's root, after it has become the root and the host's is gone: links
//! in the tree cannot lead outside any more.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::{Mount, Spec};
use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsmount, fsopen, move_mount,
};

use super::overlay::NEW_ROOT;
use super::trees;
use crate::bundle::SYSTEM_BUNDLE;
use crate::error::{RuntimeError, Step};
use crate::sys::mount::{Attributes, set_attributes_at};

/// Links every program expects in `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];

/// Makes the overlay the root and lets go of the host's; returns the sandbox's `/proc`, not mounted yet.
///
/// SECURITY: as long as the host's root is mounted over the new one, `/..` leads to it, also from a
/// link in the tree. So it goes before the first look at the tree, and `/proc`, which the kernel makes
/// only in sight of another one, is made before that.
pub(super) fn pivot() -> io::Result<OwnedFd> {
    let proc = procfs()?;
    std::env::set_current_dir(NEW_ROOT)?;
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    std::env::set_current_dir("/")?;
    Ok(proc)
}

fn procfs() -> io::Result<OwnedFd> {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}

/// Mounts everything of the configuration in its order; `host` are the trees of
/// [`trees::from_host`] mounts, `proc` is of [`pivot`].
pub(super) fn mount_all(
    mounts: &[Mount],
    host: &[OwnedFd],
    proc: &OwnedFd,
) -> Result<(), RuntimeError> {
    let mut host = host.iter();
    for mount in mounts {
        let target = mount.destination();
        let step = format!("mounting {}", target.display());
        if trees::from_host(mount) {
            let tree = host
                .next()
                .ok_or(io::ErrorKind::UnexpectedEof)
                .step(&step)?;
            attach(mount, tree).step(step)?;
        } else if mount.typ().as_deref() == Some("proc") {
            make_dir(target).step(&step)?;
            put(proc, target).step(step)?;
        } else {
            make_dir(target).step(&step)?;
            new(mount).step(step)?;
        }
    }
    for (to, link) in LINKS {
        rustix::fs::symlink(to, link).step(format!("making {link}"))?;
    }
    Ok(())
}

fn attach(mount: &Mount, tree: &OwnedFd) -> io::Result<()> {
    let target = mount.destination();
    if mount.typ().as_deref() == Some("sysfs") {
        make_dir(target)?;
    } else if target == Path::new(SYSTEM_BUNDLE) {
        // Only over one that is there: a package that brings it must be able to.
        if !target.is_file() {
            return Ok(());
        }
    } else {
        fs_err::OpenOptions::new()
            .create(true)
            .append(true)
            .open(target)?;
    }
    put(tree, target)
}

/// Mounts a detached tree.
fn put(tree: &OwnedFd, target: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    Ok(move_mount(tree, "", CWD, target, flags)?)
}

fn new(mount: &Mount) -> io::Result<()> {
    let kind = mount.typ().as_deref().unwrap_or_default();
    let source = mount.source().as_deref().unwrap_or(Path::new(kind));
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in mount.options().iter().flatten() {
        match option.as_str() {
            "ro" => flags |= MountFlags::RDONLY,
            "nosuid" => flags |= MountFlags::NOSUID,
            "nodev" => flags |= MountFlags::NODEV,
            "noexec" => flags |= MountFlags::NOEXEC,
            other => data.push(other),
        }
    }
    let data = CString::new(data.join(","))?;
    Ok(rustix::mount::mount(
        source,
        mount.destination(),
        kind,
        flags,
        data.as_c_str(),
    )?)
}

/// Makes a folder and those above it. A file or a dead link in the way is removed: it comes from the
/// template, and the standard folder is what a program expects.
fn make_dir(path: &Path) -> io::Result<()> {
    let mut so_far = PathBuf::new();
    for part in path.components() {
        so_far.push(part);
        if matches!(part, Component::RootDir) || so_far.is_dir() {
            continue;
        }
        crate::files::gone(fs_err::remove_file(&so_far))?;
        fs_err::create_dir(&so_far)?;
    }
    Ok(())
}

/// Hides and locks what the configuration names, as far as this kernel has it.
pub(super) fn mask(config: &Spec) -> Result<(), RuntimeError> {
    let Some(linux) = config.linux() else {
        return Ok(());
    };
    let paths = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    for path in paths(linux.masked_paths()) {
        hide(Path::new(&path)).step(format!("hiding {path}"))?;
    }
    for path in paths(linux.readonly_paths()) {
        lock(Path::new(&path)).step(format!("making {path} read-only"))?;
    }
    Ok(())
}

fn hide(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        let flags =
            MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        return Ok(rustix::mount::mount(
            "tmpfs",
            path,
            c"tmpfs",
            flags,
            c"size=0k,mode=755",
        )?);
    }
    if path.exists() {
        rustix::mount::mount_bind("/dev/null", path)?;
    }
    Ok(())
}

fn lock(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    rustix::mount::mount_bind_recursive(path, path)?;
    let name = CString::new(path.as_os_str().as_bytes())?;
    set_attributes_at(&name, Attributes::READ_ONLY)
}
