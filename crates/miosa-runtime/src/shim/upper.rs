//! Where the sandbox writes: its disk, or a folder of the host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use fs_err::OpenOptions;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::error::{RuntimeError, Step};
use crate::files::{Launch, SandboxFiles, gone};
use crate::runtime::Upper as Wanted;
use crate::sys::loopdev;

/// Name of the upper folder on a disk, and so on a snapshot.
pub(super) const UPPER: &str = "upper";

/// A folder with the overlay's upper and work folders in it, on one mount.
pub(super) struct Upper {
    /// The folder.
    pub(super) tree: PathBuf,
    /// Name of the upper folder in it.
    pub(super) upper: OsString,
    /// Name of the work folder in it.
    pub(super) work: OsString,
    mounted: bool,
}

/// Mounts the disk (in this mount namespace alone), or makes the folder.
pub(super) fn prepare(launch: &Launch, files: &SandboxFiles) -> Result<Upper, RuntimeError> {
    let upper = match (&launch.disk, &launch.spec.upper) {
        (Some(image), _) => {
            let tree = files.disk_mount();
            fs_err::create_dir_all(&tree).step("making the disk's mount point")?;
            mount(image, &tree)?;
            Upper {
                tree,
                upper: UPPER.into(),
                work: "work".into(),
                mounted: true,
            }
        }
        (None, Wanted::Folder(folder)) => of_folder(folder)?,
        (None, Wanted::Disk(_)) => {
            return Err(RuntimeError::Start(
                "its configuration names no disk".to_owned(),
            ));
        }
    };
    for name in [&upper.upper, &upper.work] {
        fs_err::create_dir_all(upper.tree.join(name)).step("making the upper layer's folders")?;
    }
    Ok(upper)
}

fn of_folder(folder: &Path) -> Result<Upper, RuntimeError> {
    let (Some(tree), Some(name)) = (folder.parent(), folder.file_name()) else {
        return Err(RuntimeError::Start(format!(
            "{} is no folder to write to",
            folder.display()
        )));
    };
    let mut work = name.to_owned();
    work.push(".work");
    Ok(Upper {
        tree: tree.to_owned(),
        upper: name.to_owned(),
        work,
        mounted: false,
    })
}

fn mount(image: &Path, target: &Path) -> Result<(), RuntimeError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)
        .step("opening the disk")?;
    let device = loopdev::attach(&file).step("attaching the disk to a loop device")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOATIME;
    // Without it the kernel would write all inode tables of every new disk.
    let options = c"noinit_itable";
    rustix::mount::mount(&device.path, target, c"ext4", flags, options).step("mounting the disk")
}

impl Upper {
    /// Removes what is of no use after the sandbox.
    pub(super) fn remove(&self) -> Result<(), RuntimeError> {
        if self.mounted {
            rustix::mount::unmount(&self.tree, UnmountFlags::DETACH).step("unmounting the disk")?;
            return gone(fs_err::remove_dir(&self.tree)).step("removing the disk's mount point");
        }
        let work = self.tree.join(&self.work);
        gone(fs_err::remove_dir_all(work)).step("removing the overlay's work folder")
    }
}
