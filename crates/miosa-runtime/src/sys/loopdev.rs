//! Loop devices: a file as a block device that vanishes with its last user.
#![expect(unsafe_code, reason = "ioctls have no safe wrapper")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::PathBuf;

use fs_err::{File, OpenOptions};
use rustix::fs::{CWD, FileType, Mode};

const CONTROL: &str = "/dev/loop-control";
const LOOP_MAJOR: u32 = 7;
const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4C82;
const LOOP_CONFIGURE: libc::Ioctl = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// How often another process may take the free device first before this gives up.
const RACES_MAX: usize = 64;

#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// A loop device in use. It is freed by the kernel when this and all mounts of it are gone.
pub(crate) struct LoopDevice {
    _file: File,
    /// Its node.
    pub(crate) path: PathBuf,
}

/// Makes `image` a block device.
pub(crate) fn attach(image: &File) -> io::Result<LoopDevice> {
    let control = OpenOptions::new().read(true).write(true).open(CONTROL)?;
    for _ in 0..RACES_MAX {
        // SAFETY: the request takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
        let number = u32::try_from(number).map_err(|_| io::Error::last_os_error())?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = open_node(&path, number)?;
        match configure(&device, image) {
            Ok(()) => {
                return Ok(LoopDevice {
                    _file: device,
                    path,
                });
            }
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::ResourceBusy,
        "no free loop device",
    ))
}

/// Opens the node of a loop device; makes it where no udev does.
fn open_node(path: &PathBuf, number: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let device = rustix::fs::makedev(LOOP_MAJOR, number);
            match rustix::fs::mknodat(CWD, path, FileType::BlockDevice, Mode::from(0o600), device) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => options.open(path),
                Err(errno) => Err(errno.into()),
            }
        }
        other => other,
    }
}

fn configure(device: &File, image: &File) -> io::Result<()> {
    // SAFETY: the structure is plain integers, for which zero is valid.
    let mut config: LoopConfig = unsafe { std::mem::zeroed() };
    config.fd = fd_number(image)?;
    config.info.flags = LO_FLAGS_AUTOCLEAR;
    // SAFETY: the request reads one `loop_config`, which outlives the call.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn fd_number(file: &File) -> io::Result<u32> {
    let fd: BorrowedFd<'_> = std::os::fd::AsFd::as_fd(file);
    u32::try_from(fd.as_raw_fd()).map_err(io::Error::other)
}
