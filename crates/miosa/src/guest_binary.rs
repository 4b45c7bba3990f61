//! The guest agent inside this binary, and its way onto the disk.
//!
//! The runtime mounts the installed file read-only into each sandbox. Its name says its content,
//! so two versions of `miosa` share a folder and a running sandbox keeps the agent it began with.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// The agent: a static executable.
pub const GUEST: &[u8] = include_bytes!(env!("MIOSA_GUEST_BINARY"));

/// Makes sure that the agent lies in this folder; where.
///
/// Whoever looks sees no file or the whole one, also with several callers at a time.
pub fn install(dir: &Path) -> io::Result<PathBuf> {
    let path = dir.join(name());
    if fs::read(&path).is_ok_and(|found| found == GUEST) {
        return Ok(path);
    }
    fs::create_dir_all(dir)?;
    let mut beside = tempfile::NamedTempFile::new_in(dir)?;
    beside.write_all(GUEST)?;
    beside
        .as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o755))?;
    // Closed for writing before it has its name: a file open for writing cannot be executed.
    beside.into_temp_path().persist(&path)?;
    Ok(path)
}

/// A name per content. The hash only tells versions apart; `install` compares the bytes.
fn name() -> String {
    let mut hasher = DefaultHasher::new();
    GUEST.hash(&mut hasher);
    format!("guest-{}-{:016x}", GUEST.len(), hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::{GUEST, install};

    #[test]
    fn it_is_installed_once_and_mended() {
        let dir = tempfile::tempdir().expect("a folder");
        let dir = dir.path().join("bin");
        let path = install(&dir).expect("written");
        let first = std::fs::metadata(&path).expect("there");
        assert_eq!(first.permissions().mode() & 0o777, 0o755);
        assert_eq!(install(&dir).expect("there"), path);
        let second = std::fs::metadata(&path).expect("there");
        assert_eq!(
            first.modified().expect("a time"),
            second.modified().expect("a time")
        );
        std::fs::write(&path, "half").expect("own");
        install(&dir).expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), GUEST);
        assert_eq!(std::fs::read_dir(&dir).expect("a folder").count(), 1);
    }

    #[test]
    fn it_runs_where_there_is_no_library() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = install(dir.path()).expect("written");
        let inside = std::path::Path::new("/").join(path.file_name().expect("it has a name"));
        let output = Command::new("chroot")
            .arg(dir.path())
            .arg(inside)
            .arg("--help")
            .output();
        let message = String::from_utf8(output.expect("chroot").stderr).expect("UTF-8");
        assert!(message.contains("usage: miosa-guest"), "{message}");
    }
}
