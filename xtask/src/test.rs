//! `./x test`.

use anyhow::Result;

use crate::cargo;

/// Everything CI checks, in order of cost.
pub fn run() -> Result<()> {
    cargo::run(&["fmt", "--all", "--check"])?;
    cargo::run(&["test", "--workspace", "--no-fail-fast"])
}
