//! Which program runs, with which arguments.
//!
//! Text for a shell runs as `bash -c`, not as a login shell: Debian's `/etc/profile` overwrites
//! `PATH`, and the environment the host sent has to win. Text longer than the kernel takes as one
//! argument (`MAX_ARG_STRLEN`, 128 KiB) reaches the shell as a file without a name.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use miosa_api::guest::ExecStart;
use rustix::fs::MemfdFlags;

use super::NotStarted;

const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];
/// Longest text handed over as an argument, well below the kernel's 128 KiB.
const ARGUMENT_BYTES_MAX: usize = 100 * 1024;

/// What to execute.
#[derive(Debug)]
pub struct Program {
    /// The file.
    pub path: PathBuf,
    /// What it is called with (`argv[0]`).
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Text of the shell, to be kept open in the command.
    pub script: Option<OwnedFd>,
}

/// Finds the program of a command.
pub fn of(
    start: &ExecStart,
    environment: &BTreeMap<String, String>,
    cwd: &Path,
) -> Result<Program, NotStarted> {
    if let [name, args @ ..] = &start.argv[..] {
        let search = environment.get("PATH").map_or("", String::as_str);
        let path = find(name, search, cwd)?;
        return Ok(Program {
            path,
            name: name.clone(),
            args: args.to_vec(),
            script: None,
        });
    }
    let text = start.shell.as_deref();
    let text = text.ok_or_else(|| NotStarted::refused("neither argv nor shell is given"))?;
    let shell = SHELLS.into_iter().find(|shell| Path::new(shell).exists());
    let shell = shell.ok_or_else(|| NotStarted::not_found("/bin/sh"))?;
    with_text(shell, text).map_err(|error| NotStarted::refused(format!("{shell}: {error}")))
}

fn with_text(shell: &str, text: &str) -> io::Result<Program> {
    let (path, name) = (PathBuf::from(shell), shell.to_owned());
    if text.len() <= ARGUMENT_BYTES_MAX {
        let args = vec!["-c".to_owned(), text.to_owned()];
        return Ok(Program {
            path,
            name,
            args,
            script: None,
        });
    }
    let script = rustix::fs::memfd_create("shell", MemfdFlags::CLOEXEC)?;
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&script, rest)?..];
    }
    let args = vec![format!("/proc/self/fd/{}", script.as_raw_fd())];
    Ok(Program {
        path,
        name,
        args,
        script: Some(script),
    })
}

/// Looks a name up as a shell does.
fn find(name: &str, search: &str, cwd: &Path) -> Result<PathBuf, NotStarted> {
    if name.contains('/') {
        let path = cwd.join(name);
        return match runnable(&path) {
            Some(true) => Ok(path),
            Some(false) => Err(NotStarted::refused(format!("{name}: permission denied"))),
            None => Err(NotStarted::not_found(name)),
        };
    }
    let mut refused = None;
    for folder in search.split(':').filter(|_| !name.is_empty()) {
        let path = cwd.join(folder).join(name);
        match runnable(&path) {
            Some(true) => return Ok(path),
            Some(false) if !path.is_dir() => refused = Some(path),
            _ => {}
        }
    }
    Err(refused.map_or_else(
        || NotStarted::not_found(name),
        |path| NotStarted::refused(format!("{}: permission denied", path.display())),
    ))
}

/// Whether what is there is a file that somebody may execute.
fn runnable(path: &Path) -> Option<bool> {
    let found = fs_err::metadata(path).ok()?;
    Some(found.is_file() && found.permissions().mode() & 0o111 != 0)
}
