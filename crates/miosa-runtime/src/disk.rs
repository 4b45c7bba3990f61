//! Disks: sparse files with an ext4 file system, copied from a blank one made once per size.

use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use fs_err::os::unix::fs::OpenOptionsExt;
use fs_err::{File, OpenOptions};
use rustix::fs::{FlockOperation, SeekFrom};
use rustix::io::Errno;

use crate::error::{RuntimeError, Step};

/// Name of blank images, before their size.
pub(crate) const BLANK_PREFIX: &str = "blank-";
const MIB: u64 = 1024 * 1024;
const COPY_BYTES: usize = 1024 * 1024;
/// Where ext4 keeps its state: 1 when it was unmounted in order.
const STATE_OFFSET: u64 = 1024 + 58;

/// Makes the disk if there is none; returns whether it made it. One that was not unmounted in
/// order (the host went down) is repaired first.
pub(crate) fn prepare(image: &Path, size_mb: u32) -> Result<bool, RuntimeError> {
    if image.exists() {
        repair_if_needed(image)?;
        return Ok(false);
    }
    let dir = image.parent().unwrap_or(Path::new("/"));
    let step = "making the folder of disks";
    fs_err::create_dir_all(dir).step(step)?;
    // What a sandbox wrote is for nobody else on the host.
    fs_err::set_permissions(dir, PermissionsExt::from_mode(0o700)).step(step)?;
    let blank = blank(dir, size_mb)?;
    let partial = image.with_extension("part");
    copy_sparse(&blank, &partial)
        .and_then(|()| fs_err::rename(&partial, image))
        .inspect_err(|_| drop(fs_err::remove_file(&partial)))
        .step("making the sandbox's disk")?;
    Ok(true)
}

fn blank(dir: &Path, size_mb: u32) -> Result<File, RuntimeError> {
    let step = "making a blank disk";
    let lock = File::create(dir.join(".lock")).step(step)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).step(step)?;
    let path = dir.join(format!("{BLANK_PREFIX}{size_mb}.img"));
    if !path.exists() {
        let partial = path.with_extension("part");
        let file = create(&partial).step(step)?;
        file.set_len(u64::from(size_mb) * MIB).step(step)?;
        format(&partial).inspect_err(|_| drop(fs_err::remove_file(&partial)))?;
        fs_err::rename(&partial, &path).step(step)?;
    }
    File::open(&path).step(step)
}

/// No journal (the disk lives no longer than the sandbox), no reserve, and many inodes: trees of
/// JavaScript packages are small files.
fn format(image: &Path) -> Result<(), RuntimeError> {
    let options = [
        "-q",
        "-F",
        "-O",
        "^has_journal",
        "-m",
        "0",
        "-b",
        "4096",
        "-i",
        "8192",
    ];
    let extended = ["-E", "lazy_itable_init=1,nodiscard,root_owner=0:0"];
    run(
        Command::new("mkfs.ext4")
            .args(options)
            .args(extended)
            .arg(image),
        &[0],
    )
}

fn repair_if_needed(image: &Path) -> Result<(), RuntimeError> {
    let mut state = [0; 2];
    let file = File::open(image).step("reading the sandbox's disk")?;
    file.file()
        .read_exact_at(&mut state, STATE_OFFSET)
        .step("reading the sandbox's disk")?;
    if u16::from_le_bytes(state) & 1 == 1 {
        return Ok(());
    }
    // 1: errors were corrected.
    run(
        Command::new("e2fsck").args(["-p", "-f"]).arg(image),
        &[0, 1],
    )
}

fn run(command: &mut Command, fine: &[i32]) -> Result<(), RuntimeError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().step(format!("running {name}"))?;
    if output
        .status
        .code()
        .is_some_and(|code| fine.contains(&code))
    {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let source = io::Error::other(format!("{}: {words}", output.status));
    Err(RuntimeError::Io {
        step: format!("running {name}"),
        source,
    })
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

/// Keeps a disk as it is now in another file, whole or not at all: nobody may write to it meanwhile.
pub(crate) fn copy(from: &Path, partial: &Path) -> io::Result<File> {
    copy_sparse(&File::open(from)?, partial)?;
    File::open(partial)
}

/// Copies a file and its holes, sharing blocks where the file system can.
fn copy_sparse(from: &File, to: &Path) -> io::Result<()> {
    let to = create(to)?;
    if rustix::fs::ioctl_ficlone(&to, from).is_ok() {
        return Ok(());
    }
    to.set_len(from.metadata()?.len())?;
    let mut buffer = vec![0; COPY_BYTES];
    let mut offset = 0;
    loop {
        offset = match rustix::fs::seek(from, SeekFrom::Data(offset)) {
            Ok(start) => start,
            Err(Errno::NXIO) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(offset))?;
        while offset < end {
            let wanted = usize::try_from(end - offset)
                .unwrap_or(COPY_BYTES)
                .min(COPY_BYTES);
            let read = from.file().read_at(&mut buffer[..wanted], offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            to.file().write_all_at(&buffer[..read], offset)?;
            offset += read as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_disk_is_made_once_and_takes_little_room() {
        let dir = tempfile::tempdir().expect("folder");
        let image = dir.path().join("disks/a.img");
        assert!(prepare(&image, 512).expect("made"));
        assert!(!prepare(&image, 512).expect("kept"));
        let meta = fs_err::metadata(&image).expect("image");
        assert_eq!(meta.len(), 512 * MIB);
        let folder = fs_err::metadata(dir.path().join("disks")).expect("folder");
        assert_eq!(folder.mode() & 0o077, 0, "others may read it");
        assert!(meta.blocks() * 512 < 16 * MIB, "{} blocks", meta.blocks());
        assert!(run(Command::new("e2fsck").args(["-n", "-f"]).arg(&image), &[0]).is_ok());
    }

    #[test]
    fn a_disk_that_was_not_unmounted_is_repaired() {
        let dir = tempfile::tempdir().expect("folder");
        let image = dir.path().join("a.img");
        prepare(&image, 64).expect("made");
        run(
            Command::new("debugfs")
                .args(["-w", "-R", "ssv state 0"])
                .arg(&image),
            &[0],
        )
        .expect("mark");
        prepare(&image, 64).expect("repaired");
        let mut state = [0; 2];
        let file = File::open(&image).expect("image");
        file.file()
            .read_exact_at(&mut state, STATE_OFFSET)
            .expect("state");
        assert_eq!(u16::from_le_bytes(state) & 1, 1);
    }
}
