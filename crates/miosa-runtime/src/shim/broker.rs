//! The link to the egress broker: hands it the sandbox's listeners, again after it restarted.
//!
//! The shim keeps its copies: while no broker listens, connections wait in the backlog.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use miosa_api::broker::ListenerHandoff;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::channel;
use crate::runtime::SandboxSpec;

/// How long the broker may take to say that it took them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between two tries.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_MAX: Duration = Duration::from_millis(250);
const TAKEN: u8 = 1;

/// The link, open or being opened again.
pub(super) struct Broker {
    socket: PathBuf,
    handoff: ListenerHandoff,
    listeners: Vec<OwnedFd>,
    connection: Option<OwnedFd>,
    retry: Duration,
}

impl Broker {
    /// A link that is not open yet.
    pub(super) fn new(socket: &Path, spec: &SandboxSpec, listeners: Vec<OwnedFd>) -> Self {
        let handoff = ListenerHandoff {
            sandbox_id: spec.id.to_string(),
            generation: spec.generation,
        };
        Self {
            socket: socket.to_owned(),
            handoff,
            listeners,
            connection: None,
            retry: RETRY_FIRST,
        }
    }

    /// Connects and hands the listeners over.
    pub(super) fn hand_over(&mut self) -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC;
        let connection =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        rustix::net::connect(&connection, &SocketAddrUnix::new(&self.socket)?)?;
        let message = serde_json::to_vec(&self.handoff)?;
        let fds: Vec<BorrowedFd<'_>> = self.listeners.iter().map(AsFd::as_fd).collect();
        channel::send(connection.as_fd(), &[IoSlice::new(&message)], &fds)?;
        let mut answer = [0];
        let mut poll = [PollFd::new(&connection, PollFlags::IN)];
        let timeout = super::watch::timespec(ANSWER_TIMEOUT);
        if rustix::event::poll(&mut poll, Some(&timeout))? == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let (length, _) = rustix::net::recv(&connection, &mut answer, RecvFlags::empty())?;
        if length != 1 || answer[0] != TAKEN {
            return Err(io::Error::other("the broker did not take them"));
        }
        self.connection = Some(connection);
        self.retry = RETRY_FIRST;
        Ok(())
    }

    /// The open connection; readable once the broker is gone.
    pub(super) fn connection(&self) -> Option<&OwnedFd> {
        self.connection.as_ref()
    }

    /// How long until the next try, when there is no connection.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.connection.is_none().then_some(self.retry)
    }

    /// Looks at a connection that is readable. The broker says nothing after its answer, so that
    /// anything but its end is dropped.
    pub(super) fn readable(&mut self) {
        let mut byte = [0];
        let ended = self.connection.as_ref().is_some_and(|connection| {
            !matches!(
                rustix::net::recv(connection, &mut byte, RecvFlags::DONTWAIT),
                Ok((1.., _))
            )
        });
        if ended {
            eprintln!("the egress broker is gone; waiting for it");
            self.connection = None;
        }
    }

    /// Tries again.
    pub(super) fn retry(&mut self) {
        match self.hand_over() {
            Ok(()) => eprintln!("handed the listeners to the egress broker again"),
            Err(_) => self.retry = (self.retry * 2).min(RETRY_MAX),
        }
    }
}
