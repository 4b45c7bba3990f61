//! Starting the guest's process: the shim's half of the conversation with [`super::init`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use oci_spec::runtime::{LinuxIdMapping, Spec};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use rustix::process::Pid;

use super::init::{self, Inherited, Message};
use super::upper::Upper;
use super::{channel, trees};
use crate::cgroup::Driver;
use crate::error::{RuntimeError, Step};
use crate::files::{Launch, SandboxFiles, gone};
use crate::sys::clone::{Cloned, clone_process};

const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS;
/// Longest message of the guest's process.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// The running guest.
pub(super) struct Guest {
    /// As the host sees it.
    pub(super) pid: Pid,
    /// A descriptor of it.
    pub(super) pidfd: OwnedFd,
    /// What it writes to its standard output and error.
    pub(super) output: OwnedFd,
}

/// Starts the guest agent in its namespaces and returns once it is executed.
pub(super) fn start(
    config: &Spec,
    launch: &Launch,
    files: &SandboxFiles,
    upper: &Upper,
    cgroups: &dyn Driver,
) -> Result<Guest, RuntimeError> {
    let step = "starting the guest's process";
    let listener = listen(files).step("making the guest's socket")?;
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .step(step)?;
    let (output, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).step(step)?;
    let target = cgroups.clone_target(&launch.cgroup);
    let (pid, pidfd) =
        match clone_process(NAMESPACES, target.as_ref().map(AsFd::as_fd)).step(step)? {
            Cloned::Child => {
                drop((ours, output));
                let inherited = Inherited {
                    listener: listener.into(),
                    output: writer,
                    channel: theirs,
                };
                init::run(config, &launch.spec, upper, inherited)
            }
            Cloned::Parent { pid, pidfd } => (pid, pidfd),
        };
    drop((theirs, writer, listener));
    let raw = pid.as_raw_nonzero().get();
    cgroups
        .add(&launch.cgroup, raw)
        .step("putting the guest under its limits")?;
    let linux = config.linux().as_ref();
    let uids = linux.and_then(|linux| linux.uid_mappings().as_deref());
    let gids = linux.and_then(|linux| linux.gid_mappings().as_deref());
    write_map(raw, "uid_map", uids).step("mapping the sandbox's users")?;
    write_map(raw, "gid_map", gids).step("mapping the sandbox's groups")?;
    let user_ns = fs_err::File::open(format!("/proc/{raw}/ns/user")).step(step)?;
    let mounts = config.mounts().as_deref().unwrap_or_default();
    let trees = trees::open(&launch.spec.layers, upper, mounts, user_ns.as_fd())?;
    let fds: Vec<BorrowedFd<'_>> = trees.iter().map(AsFd::as_fd).collect();
    channel::send_all(ours.as_fd(), &fds).step("passing the layers to the guest's process")?;
    wait_for_exec(&ours)?;
    Ok(Guest { pid, pidfd, output })
}

fn listen(files: &SandboxFiles) -> io::Result<UnixListener> {
    let path = files.guest_socket();
    gone(fs_err::remove_file(&path))?;
    let listener = UnixListener::bind(&path)?;
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

fn write_map(pid: i32, file: &str, mappings: Option<&[LinuxIdMapping]>) -> io::Result<()> {
    let line =
        |map: &LinuxIdMapping| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size());
    let text: String = mappings.unwrap_or_default().iter().map(line).collect();
    fs_err::write(format!("/proc/{pid}/{file}"), text)
}

/// Reads what the guest's process says until `exec` closes its end.
fn wait_for_exec(channel: &OwnedFd) -> Result<(), RuntimeError> {
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    let mut executed = false;
    loop {
        let (length, _) = rustix::net::recv(channel, &mut buffer[..], RecvFlags::empty())
            .step("listening to the guest's process")?;
        if length == 0 {
            break;
        }
        match serde_json::from_slice(&buffer[..length]).step("listening to the guest's process")? {
            Message::Executing => executed = true,
            Message::Note(text) => eprintln!("{text}"),
            Message::Failed {
                disk_full: true,
                words,
            } => return Err(RuntimeError::DiskFull(words)),
            Message::Failed { words, .. } => return Err(RuntimeError::Start(words)),
        }
    }
    if executed {
        return Ok(());
    }
    Err(RuntimeError::Start(
        "the guest's process was killed before it ran".to_owned(),
    ))
}
