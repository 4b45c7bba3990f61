//! A range of host user ids for each running sandbox, so that no two share one.
//!
//! A slot is a file named by its number and holding the sandbox's id; it is free when there is no
//! file, or when the sandbox's folder is gone (the server died between the two).

use std::io::{self, Write};

use fs_err::{File, OpenOptions};
use miosa_api::id::SandboxId;
use rustix::fs::FlockOperation;

use crate::config::RuntimeConfig;
use crate::files::gone;

/// First host id of slot 0.
const FIRST: u32 = 100_000;
/// Ids of one sandbox.
pub(crate) const COUNT: u32 = 65_536;
/// Slots that fit below the highest id.
const SLOTS: u32 = (u32::MAX - FIRST) / COUNT;

/// Takes a range for the sandbox (the one it has, if any) and returns its first id.
pub(crate) fn take(config: &RuntimeConfig, id: &SandboxId) -> io::Result<u32> {
    let _lock = lock(config)?;
    if let Some(slot) = find(config, id)? {
        return Ok(FIRST + slot * COUNT);
    }
    for slot in 0..SLOTS {
        let path = config.uid_slots().join(slot.to_string());
        if let Ok(owner) = fs_err::read_to_string(&path) {
            if config.sandbox_dir(&SandboxId::from(owner)).exists() {
                continue;
            }
            fs_err::remove_file(&path)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(id.as_str().as_bytes())?;
        return Ok(FIRST + slot * COUNT);
    }
    Err(io::Error::new(
        io::ErrorKind::QuotaExceeded,
        "every range of user ids is taken",
    ))
}

/// Gives the sandbox's range back. Fine when it has none.
pub(crate) fn release(config: &RuntimeConfig, id: &SandboxId) -> io::Result<()> {
    let _lock = lock(config)?;
    match find(config, id)? {
        Some(slot) => gone(fs_err::remove_file(
            config.uid_slots().join(slot.to_string()),
        )),
        None => Ok(()),
    }
}

fn lock(config: &RuntimeConfig) -> io::Result<File> {
    fs_err::create_dir_all(config.uid_slots())?;
    let file = File::create(config.uid_slots().join("lock"))?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn find(config: &RuntimeConfig, id: &SandboxId) -> io::Result<Option<u32>> {
    for entry in fs_err::read_dir(config.uid_slots())? {
        let entry = entry?;
        let Some(slot) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if fs_err::read_to_string(entry.path())? == id.as_str() {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_kept_shared_by_nobody_and_given_back() {
        let dir = tempfile::tempdir().expect("folder");
        let config = RuntimeConfig {
            program: "miosa".into(),
            guest_binary: "guest".into(),
            run_dir: dir.path().join("run"),
            data_dir: dir.path().join("data"),
        };
        let ids = ["a", "b", "c"].map(SandboxId::from);
        for id in &ids {
            fs_err::create_dir_all(config.sandbox_dir(id)).expect("folder");
        }
        let a = take(&config, &ids[0]).expect("a");
        let b = take(&config, &ids[1]).expect("b");
        assert_eq!((a, b), (100_000, 165_536));
        assert_eq!(take(&config, &ids[0]).expect("a again"), a);
        release(&config, &ids[0]).expect("release");
        assert_eq!(take(&config, &ids[2]).expect("c"), a);
        fs_err::remove_dir(config.sandbox_dir(&ids[1])).expect("b left");
        assert_eq!(take(&config, &ids[0]).expect("a takes b's"), b);
    }
}
