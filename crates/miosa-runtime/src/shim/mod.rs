//! The shim: one process per sandbox that starts it, keeps its listeners and outlives the server.
//!
//! Single-threaded and blocking on purpose: it clones itself into the sandbox's namespaces, which
//! is sound only without other threads. It holds no secret. Whatever ends it ends the sandbox: the
//! guest agent is killed with its parent, and everything else lives in its private namespaces.

mod below;
mod broker;
mod channel;
mod confine;
mod etc;
mod guest;
mod init;
mod network;
mod overlay;
mod root;
mod route;
mod seccomp;
mod trees;
mod upper;
mod watch;

pub use network::is_broker_listener;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use oci_spec::runtime::Spec;
use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

use crate::cgroup::{self, Limits};
use crate::error::{RuntimeError, Step};
use crate::files::{Launch, Report, SandboxFiles, State, read_json, write_json};
use crate::process::ProcessId;
use crate::sys;

/// Runs the sandbox of this folder until it ends. Called by `miosa shim <folder>`.
///
/// Writes one line of JSON to standard output once the sandbox runs or could not be started.
pub fn shim_main(sandbox_dir: &Path) -> ExitCode {
    let files = SandboxFiles::new(sandbox_dir);
    match run(&files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let disk_full = matches!(error, RuntimeError::DiskFull(_));
            let message = match &error {
                RuntimeError::DiskFull(step) => step.clone(),
                other => other.in_words(),
            };
            eprintln!("{message}");
            // Nobody may be listening any more; the log has it too.
            report(&Report::Error { disk_full, message }).ok();
            ExitCode::FAILURE
        }
    }
}

fn report(report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_string(report)?;
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

fn run(files: &SandboxFiles) -> Result<(), RuntimeError> {
    // Fails when it leads a session already, which is as good.
    rustix::process::setsid().ok();
    rustix::process::umask(rustix::fs::Mode::from(0o022));
    let termination = sys::signal::termination().step("blocking signals")?;
    let (config, mut launch) = read(files)?;
    write_state(files, &launch, None)?;

    sys::clone::unshare(UnshareFlags::NEWNS).step("making a mount namespace")?;
    let private = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).step("detaching the mount namespace")?;
    let upper = upper::prepare(&launch, files)?;
    let below = below::mount(&launch.below, files)?;
    launch.spec.layers.splice(0..0, below);
    let broker = network::prepare(&launch.spec)?;
    let cgroups = cgroup::detect()?;
    let spec = &launch.spec;
    let limits = Limits::new(spec.memory_mb, spec.cpu_count, spec.pids_max);

    let result = cgroups
        .create(&launch.cgroup, limits)
        .step("making the sandbox's control group")
        .and_then(|()| guest::start(&config, &launch, files, &upper, cgroups.as_ref()))
        .and_then(|guest| {
            write_state(files, &launch, ProcessId::of(guest.pid))?;
            let pid = guest.pid.as_raw_nonzero().get();
            report(&Report::Ready { pid }).step("telling the server")?;
            watch::until_end(&guest, broker, termination, files, || {
                cgroups
                    .usage(&launch.cgroup)
                    .is_ok_and(|usage| usage.oom_kills > 0)
            })
        });
    let killed = cgroups
        .kill(&launch.cgroup)
        .step("killing the sandbox's processes");
    let removed = cgroups
        .remove(&launch.cgroup)
        .step("removing the sandbox's control group");
    let below = below::unmount(&launch.below, files);
    let dropped = upper.remove();
    result.and(killed).and(removed).and(below).and(dropped)
}

fn read(files: &SandboxFiles) -> Result<(Spec, Launch), RuntimeError> {
    let step = "reading the sandbox's configuration";
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let config = read_json(&files.config())
        .step(step)?
        .ok_or_else(missing)
        .step(step)?;
    let launch = read_json(&files.launch())
        .step(step)?
        .ok_or_else(missing)
        .step(step)?;
    Ok((config, launch))
}

fn write_state(
    files: &SandboxFiles,
    launch: &Launch,
    init: Option<ProcessId>,
) -> Result<(), RuntimeError> {
    let step = "writing the sandbox's state";
    let own = ProcessId::of(rustix::process::getpid());
    let shim = own
        .ok_or_else(|| io::Error::other("/proc does not show this process"))
        .step(step)?;
    let state = State {
        generation: launch.spec.generation,
        shim,
        init,
    };
    write_json(&files.state(), &state).step(step)
}
