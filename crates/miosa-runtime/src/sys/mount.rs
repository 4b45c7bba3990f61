//! `mount_setattr`, which `rustix` does not have yet.
#![expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Attributes of one mount.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attributes(u64);

impl Attributes {
    /// No writes through this mount.
    pub(crate) const READ_ONLY: Self = Self(0x1);
    /// Set-user-id bits are ignored.
    pub(crate) const NO_SUID: Self = Self(0x2);
    /// Device nodes are dead.
    pub(crate) const NO_DEV: Self = Self(0x4);
    /// Nothing can be run.
    pub(crate) const NO_EXEC: Self = Self(0x8);
}

const IDMAP: u64 = 0x0010_0000;

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Sets attributes of the mount that `mount` (from `open_tree` or `fsmount`) is.
pub(crate) fn set_attributes(mount: BorrowedFd<'_>, attributes: Attributes) -> io::Result<()> {
    let attr = MountAttr {
        set: attributes.0,
        clear: 0,
        propagation: 0,
        userns_fd: 0,
    };
    call(mount.as_raw_fd(), c"", &attr)
}

/// Sets attributes of the mount whose root is at `path`.
pub(crate) fn set_attributes_at(path: &CStr, attributes: Attributes) -> io::Result<()> {
    let attr = MountAttr {
        set: attributes.0,
        clear: 0,
        propagation: 0,
        userns_fd: 0,
    };
    call(libc::AT_FDCWD, path, &attr)
}

/// Shows the files of a detached mount with owners mapped as in the user namespace.
pub(crate) fn map_ids(mount: BorrowedFd<'_>, user_ns: BorrowedFd<'_>) -> io::Result<()> {
    let userns_fd = u64::from(user_ns.as_raw_fd().cast_unsigned());
    call(
        mount.as_raw_fd(),
        c"",
        &MountAttr {
            set: IDMAP,
            clear: 0,
            propagation: 0,
            userns_fd,
        },
    )
}

fn call(dir: i32, path: &CStr, attr: &MountAttr) -> io::Result<()> {
    let flags = if path.is_empty() {
        libc::AT_EMPTY_PATH
    } else {
        libc::AT_SYMLINK_NOFOLLOW
    };
    // SAFETY: path and attributes outlive the call, and the size is that of the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
