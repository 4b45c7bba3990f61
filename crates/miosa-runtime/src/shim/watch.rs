//! The shim's life: waits for the guest's end, the broker's, and the order to stop.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use fs_err::File;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus};

use super::broker::Broker;
use super::guest::Guest;
use crate::error::{RuntimeError, Step};
use crate::files::{Ended, SandboxFiles, write_json};

/// Bytes of the guest's output that are kept; a hostile guest must not fill the host's disk.
const GUEST_LOG_BYTES_MAX: usize = 64 * 1024;

/// A duration as the kernel takes it.
pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: duration.as_secs().cast_signed(),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

/// Returns after the guest has ended and why was written down.
pub(super) fn until_end(
    guest: &Guest,
    mut broker: Option<Broker>,
    termination: OwnedFd,
    files: &SandboxFiles,
    out_of_memory: impl Fn() -> bool,
) -> Result<(), RuntimeError> {
    let step = "watching the sandbox";
    let mut log = Log {
        file: File::create(files.guest_log()).step(step)?,
        left: GUEST_LOG_BYTES_MAX,
        open: true,
    };
    let mut stopped = false;
    loop {
        let mut fds = vec![
            PollFd::new(&guest.pidfd, PollFlags::IN),
            PollFd::new(&termination, PollFlags::IN),
        ];
        // What has ended is readable for ever; it is not watched any more.
        let output = log.open.then(|| push(&mut fds, &guest.output));
        let connection = broker
            .as_ref()
            .and_then(Broker::connection)
            .map(|fd| push(&mut fds, fd));
        let timeout = broker.as_ref().and_then(Broker::pause).map(timespec);
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno).step(step),
        }
        let ready = |index: usize| !fds[index].revents().is_empty();
        let (ended, stop) = (ready(0), ready(1));
        let (output, connection) = (output.is_some_and(ready), connection.is_some_and(ready));
        drop(fds);
        if output {
            log.copy(&guest.output);
        }
        if ended {
            break;
        }
        if stop && !stopped {
            stopped = true;
            // It has ended when this fails.
            rustix::process::pidfd_send_signal(&guest.pidfd, Signal::KILL).ok();
        }
        if let Some(broker) = &mut broker {
            if connection {
                broker.readable();
            } else if broker.connection().is_none() {
                broker.retry();
            }
        }
    }
    let status = rustix::process::waitid(
        WaitId::PidFd(std::os::fd::AsFd::as_fd(&guest.pidfd)),
        WaitIdOptions::EXITED,
    );
    let reason = reason(status.step(step)?, stopped, out_of_memory());
    write_json(&files.exit(), &Ended { reason }).step("writing how the sandbox ended")
}

fn push<'a>(fds: &mut Vec<PollFd<'a>>, fd: &'a OwnedFd) -> usize {
    fds.push(PollFd::new(fd, PollFlags::IN));
    fds.len() - 1
}

fn reason(status: Option<WaitIdStatus>, stopped: bool, out_of_memory: bool) -> String {
    let signal = status.as_ref().and_then(WaitIdStatus::terminating_signal);
    match (signal, status.as_ref().and_then(WaitIdStatus::exit_status)) {
        _ if stopped => "stopped".to_owned(),
        (Some(9), _) if out_of_memory => "killed for memory".to_owned(),
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => "ended".to_owned(),
    }
}

struct Log {
    file: File,
    left: usize,
    open: bool,
}

impl Log {
    /// Reads what is there; keeps what fits.
    fn copy(&mut self, output: &OwnedFd) {
        let mut buffer = [0; 8192];
        match rustix::io::read(output, &mut buffer) {
            Ok(0) | Err(_) => self.open = false,
            Ok(length) => {
                let kept = length.min(self.left);
                self.left -= kept;
                // A full disk of the host must not end the sandbox.
                self.file.write_all(&buffer[..kept]).ok();
            }
        }
    }
}
