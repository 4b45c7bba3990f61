//! `./x test`.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cargo;

/// What a build of all tests from nothing and their sandboxes take on disk, with some air.
const DISK_NEEDED: u64 = 14 << 30;

/// Everything CI checks, in order of cost.
pub fn run() -> Result<()> {
    fs_err::create_dir_all(cargo::target_folder())?;
    tell_free_space(&cargo::target_folder())?;
    tell_free_space(&std::env::temp_dir())?;
    cargo::run(&["fmt", "--all", "--check"])?;
    cargo::run_once(&["test", "--workspace", "--no-fail-fast"])
}

/// A full disk makes tests fail far from its cause, so what is there is said first.
fn tell_free_space(folder: &Path) -> Result<()> {
    let found = rustix::fs::statvfs(folder)
        .with_context(|| format!("cannot ask how much space {} has", folder.display()))?;
    let free = found.f_bavail * found.f_frsize;
    let few = if free < DISK_NEEDED {
        "; a first run may need 14: where tests fail with \"No space left on device\", free some"
    } else {
        ""
    };
    eprintln!("x: {} GiB free in {}{few}", free >> 30, folder.display());
    Ok(())
}
