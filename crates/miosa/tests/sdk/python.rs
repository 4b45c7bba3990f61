//! SDKs as their users install them: a virtual environment with exactly the pins of a file.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// The interpreter of the environment `name` below `cache`, which is made on first use and again when the pins
/// change. Without the registry there is no SDK, and that is an error, never a test that was left out.
pub fn interpreter(cache: &Path, name: &str, requirements: &Path) -> Result<PathBuf> {
    let pins = fs_err::read_to_string(requirements)?;
    fs_err::create_dir_all(cache)?;
    let folder = cache.join(name);
    let lock = fs_err::File::create(cache.join(format!("{name}.lock")))?;
    lock.file()
        .lock()
        .context("the environment is not locked")?;
    let made_of = folder.join("made-of.txt");
    let python = folder.join("bin/python3");
    if fs_err::read_to_string(&made_of).is_ok_and(|made| made == pins) {
        return Ok(python);
    }
    if folder.exists() {
        fs_err::remove_dir_all(&folder)?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .context("no virtual environment (on Debian: apt-get install python3-venv)")?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--no-input", "-r"])
        .arg(requirements))
    .context("the SDK cannot be installed")?;
    run(Command::new(&python).args(["-m", "pip", "check", "--disable-pip-version-check"]))
        .context("the pins do not fit together")?;
    fs_err::write(&made_of, pins)?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{}: {}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
