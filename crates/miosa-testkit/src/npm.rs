//! Programs from npm at exact versions, installed once into the cache.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

/// Installs these packages into `cache/<folder>` unless that was done, and gives back the folder of packages.
/// `folder` carries a number that changes with the versions.
pub async fn install(cache: &Path, folder: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = cache.join(folder);
    let done = folder.join("installed");
    let modules = folder.join("node_modules");
    if done.exists() {
        return Ok(modules);
    }
    fs_err::create_dir_all(&folder)?;
    let output = Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ])
        .arg(&folder)
        .args(packages)
        .output()
        .await
        .context("cannot start npm: install Node.js 20 or newer")?;
    if !output.status.success() {
        bail!(
            "npm could not install {}: {}",
            packages.join(", "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs_err::write(&done, packages.join("\n"))?;
    Ok(modules)
}
