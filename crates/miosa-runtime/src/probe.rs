//! Whether this host can run sandboxes, with words for a person when it cannot.

use std::path::Path;

use crate::error::RuntimeError;

/// Where programs of the host are looked for, and the shim's `PATH`.
pub(crate) const HOST_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Checks everything but control groups (their driver checks itself).
pub(crate) fn check() -> Result<(), RuntimeError> {
    if !rustix::process::geteuid().is_root() {
        return missing(
            "this process is not root",
            "start it with sudo or as a system service",
        );
    }
    let user_namespaces = fs_err::read_to_string("/proc/sys/user/max_user_namespaces");
    if user_namespaces.is_ok_and(|max| max.trim() == "0")
        || !Path::new("/proc/self/ns/user").exists()
    {
        return missing(
            "the kernel makes no user namespaces",
            "run `sysctl user.max_user_namespaces=15000`",
        );
    }
    if fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")
        .is_err()
    {
        return missing(
            "there are no loop devices",
            "run `modprobe loop`; in a container, pass /dev/loop-control through",
        );
    }
    for (program, package) in [("nft", "nftables"), ("mkfs.ext4", "e2fsprogs")] {
        if !installed(program) {
            let (what, hint) = (
                format!("`{program}` is not installed"),
                format!("run `apt-get install {package}`"),
            );
            return Err(RuntimeError::Unavailable { what, hint });
        }
    }
    Ok(())
}

fn installed(program: &str) -> bool {
    HOST_PATH
        .split(':')
        .any(|dir| Path::new(dir).join(program).is_file())
}

fn missing(what: &str, hint: &str) -> Result<(), RuntimeError> {
    Err(RuntimeError::Unavailable {
        what: what.to_owned(),
        hint: hint.to_owned(),
    })
}
