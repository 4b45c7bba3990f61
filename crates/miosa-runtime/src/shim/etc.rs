//! The few files of `/etc` that say who the sandbox is and who resolves names.
//!
//! Written into the sandbox's own layer rather than mounted, so that programs can replace them.

use std::io;
use std::path::Path;

use miosa_api::guest::RENEW_SSH_KEYS;
use miosa_api::id::SandboxId;

use super::network::BROKER;
use crate::error::{RuntimeError, Step};

/// Writes them; runs in the sandbox's root.
pub(super) fn write(hostname: &str) -> Result<(), RuntimeError> {
    let resolver = format!("nameserver {BROKER}\noptions ndots:1 timeout:2 attempts:2\n");
    fs_err::create_dir_all("/etc").step("making /etc")?;
    replace(Path::new("/etc/resolv.conf"), &resolver).step("writing /etc/resolv.conf")?;
    replace(Path::new("/etc/hostname"), &format!("{hostname}\n")).step("writing /etc/hostname")?;
    let hosts = fs_err::read_to_string("/etc/hosts").unwrap_or_default();
    match with_names(&hosts, hostname) {
        Some(hosts) => replace(Path::new("/etc/hosts"), &hosts).step("writing /etc/hosts"),
        None => Ok(()),
    }
}

/// Gives the sandbox an identity of its own: a machine id made of its id. Another one there came with the files,
/// of a template or of the sandbox they were copied from; then the keys by which SSH knows a host and the
/// seed of random numbers are a copy too, and go. The guest agent makes new keys, see
/// [`RENEW_SSH_KEYS`].
pub(super) fn identity(id: &SandboxId) -> Result<(), RuntimeError> {
    let own: String = id
        .as_str()
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    let step = "giving the sandbox an identity";
    let path = Path::new("/etc/machine-id");
    let found = read_regular(path);
    replace(path, &format!("{own}\n")).step(step)?;
    if found.is_none_or(|found| matches!(found.trim(), "" | "uninitialized") || found.trim() == own)
    {
        return Ok(());
    }
    for seed in [
        "/var/lib/systemd/random-seed",
        "/var/lib/urandom/random-seed",
    ] {
        crate::files::gone(fs_err::remove_file(seed)).step(step)?;
    }
    let mut renewed = false;
    for entry in fs_err::read_dir("/etc/ssh").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("ssh_host_") && name.contains("_key"))
        {
            fs_err::remove_file(entry.path()).step(step)?;
            renewed = true;
        }
    }
    if renewed {
        fs_err::write(RENEW_SSH_KEYS, "").step(step)?;
    }
    Ok(())
}

fn read_regular(path: &Path) -> Option<String> {
    let regular = fs_err::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    regular.then(|| fs_err::read_to_string(path).ok()).flatten()
}

/// Writes a file in place of whatever is there; a link is not followed. One that says the same
/// stays, so that a sandbox with a full disk can start again.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let regular = fs_err::symlink_metadata(path).is_ok_and(|meta| meta.is_file());
    if regular && fs_err::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    crate::files::gone(fs_err::remove_file(path))?;
    fs_err::write(path, text)
}

/// The table with `localhost` and the host's own name; `None` when it has both. Servers look their
/// own name up when they start, and must not wait for a name server.
fn with_names(hosts: &str, hostname: &str) -> Option<String> {
    let knows = |name: &str| {
        let line = |line: &str| {
            let line = line.split('#').next().unwrap_or_default();
            line.split_whitespace().skip(1).any(|found| found == name)
        };
        hosts.lines().any(line)
    };
    let missing = [
        (!knows("localhost"))
            .then(|| "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned()),
        (!knows(hostname)).then(|| format!("127.0.1.1 {hostname}\n")),
    ];
    let added: String = missing.into_iter().flatten().collect();
    if added.is_empty() {
        return None;
    }
    let newline = if hosts.is_empty() || hosts.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    Some(format!("{hosts}{newline}{added}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_added_once_and_what_was_there_stays() {
        let hosts = with_names("10.1.1.1 db # localhost", "box").expect("changed");
        assert!(hosts.starts_with("10.1.1.1 db # localhost\n127.0.0.1 localhost\n"));
        assert!(hosts.ends_with("127.0.1.1 box\n"));
        assert_eq!(with_names(&hosts, "box"), None);
    }
}
