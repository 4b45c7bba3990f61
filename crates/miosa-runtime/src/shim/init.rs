//! The guest's process before it is the guest agent: it makes its own root and locks itself in.
//!
//! Runs as a copy of the shim in the new namespaces, root there and nobody outside. The order
//! matters: nothing is looked up by name in the sandbox's tree before it is the root and the host's
//! root is gone, and the filters come last because they forbid what came before.

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use miosa_api::guest::LISTEN_FD;
use oci_spec::runtime::{Process, Spec};
use rustix::process::Signal;
use rustix::thread::{Gid, Uid, UnshareFlags};
use serde::{Deserialize, Serialize};

use super::upper::Upper;
use super::{channel, confine, etc, overlay, root, seccomp, trees};
use crate::error::{RuntimeError, Step};
use crate::runtime::{SandboxSpec, Upper as Wanted};
use crate::sys;

/// What the process takes over from the shim.
pub(super) struct Inherited {
    /// The guest's listening socket.
    pub(super) listener: OwnedFd,
    /// Its standard output and error.
    pub(super) output: OwnedFd,
    /// Where trees come from and messages go to.
    pub(super) channel: OwnedFd,
}

/// What it says to the shim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// For the log.
    Note(String),
    /// All is done; the next is the agent or [`Message::Failed`].
    Executing,
    /// It gives up.
    Failed {
        /// Whether a disk is full.
        disk_full: bool,
        /// In words.
        words: String,
    },
}

/// Becomes the guest agent, or says why not and ends.
pub(super) fn run(config: &Spec, spec: &SandboxSpec, upper: &Upper, inherited: Inherited) -> ! {
    let Err(error) = enter(config, spec, upper, &inherited);
    let disk_full = matches!(error, RuntimeError::DiskFull(_));
    let words = match error {
        RuntimeError::DiskFull(step) => step,
        other => other.in_words(),
    };
    // Nobody is left to hear it when this fails.
    say(&inherited, &Message::Failed { disk_full, words }).ok();
    std::process::exit(1)
}

fn say(inherited: &Inherited, message: &Message) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    channel::send(inherited.channel.as_fd(), &[IoSlice::new(&bytes)], &[])
}

fn enter(
    config: &Spec,
    spec: &SandboxSpec,
    upper: &Upper,
    inherited: &Inherited,
) -> Result<Infallible, RuntimeError> {
    let mounts = config.mounts().as_deref().unwrap_or_default();
    let from_host = mounts
        .iter()
        .filter(|mount| trees::from_host(mount))
        .count();
    let count = spec.layers.len() + 1 + from_host;
    // Comes once the shim has put this process under its limits and mapped its users.
    let trees =
        channel::receive_all(inherited.channel.as_fd(), count).step("receiving the layers")?;
    become_root().step("becoming root of the sandbox")?;
    let (layers, rest) = trees.split_at(spec.layers.len());
    let (upper_tree, rest) = rest.split_at(1);

    overlay::mount(layers, &upper_tree[0], upper)?;
    let proc = root::pivot().step("changing the root")?;
    root::mount_all(mounts, rest, &proc)?;
    root::mask(config)?;
    etc::write(&spec.hostname)?;
    // What a template's build wrote would be the identity of all made from it.
    if matches!(spec.upper, Wanted::Disk(_)) {
        etc::identity(&spec.id)?;
    }
    let hostname = spec.hostname.as_bytes();
    rustix::system::sethostname(hostname).step("setting the host name")?;
    fs_err::create_dir_all(&spec.workdir).step("making the working directory")?;

    let process = config
        .process()
        .as_ref()
        .ok_or(io::ErrorKind::NotFound)
        .step("reading the process")?;
    let filters = seccomp::build().step("building the system call filters")?;
    for note in confine::apply(process)? {
        say(inherited, &Message::Note(note)).step("telling the shim")?;
    }
    say(inherited, &Message::Executing).step("telling the shim")?;
    sys::signal::unblock_all().step("unblocking signals")?;
    hand_down(inherited).step("passing the guest's socket on")?;
    seccomp::apply(&filters).step("filtering system calls")?;
    Err(execute(process)).step("executing the guest agent")
}

fn become_root() -> io::Result<()> {
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    // After the change of user, which resets it. Had the shim died before, its end of the channel
    // would have closed and nothing been received.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::setsid()?;
    // Only now, so that the namespace's root is the sandbox's group.
    sys::clone::unshare(UnshareFlags::NEWCGROUP)
}

/// Standard streams and the listening socket are all the agent gets.
fn hand_down(inherited: &Inherited) -> io::Result<()> {
    let null = fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    // Copies above all targets first, so that none overwrites another.
    let high = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, 64);
    let (listener, output) = (high(&inherited.listener)?, high(&inherited.output)?);
    let channel = high(&inherited.channel)?;
    sys::fds::place(null.as_fd(), 0)?;
    sys::fds::place(output.as_fd(), 1)?;
    sys::fds::place(output.as_fd(), 2)?;
    sys::fds::place(listener.as_fd(), LISTEN_FD)?;
    std::mem::forget((null, listener, output, channel));
    sys::fds::close_on_exec_from(LISTEN_FD.cast_unsigned() + 1)
}

/// Returns only when it fails.
fn execute(process: &Process) -> io::Error {
    let args = process.args().as_deref().unwrap_or_default();
    let Some((program, args)) = args.split_first() else {
        return io::Error::other("no program");
    };
    let env = process
        .env()
        .iter()
        .flatten()
        .filter_map(|pair| pair.split_once('='));
    let env = env.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Command::new(program)
        .args(args)
        .env_clear()
        .envs(env)
        .current_dir(process.cwd())
        .exec()
}
