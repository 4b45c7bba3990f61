//! A started command until its end: output flows out, timeout and hang-up end it.

use std::time::Duration;

use bytes::Bytes;
use miosa_api::guest::{Exit, frame};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::command::NotStarted;
use crate::frames::Frame;
use crate::reaper::Ended;
use crate::stream::Stream;
use crate::sys;

/// Bytes of one read, and so of one frame at most.
const READ_BYTES: usize = 32 * 1024;
/// Between the polite signal and `SIGKILL`.
const KILL_AFTER: Duration = Duration::from_secs(2);
/// After the command's exit, output that others still write ends with such a silence …
const SILENCE: Duration = Duration::from_millis(200);
/// … or after this, when they never fall silent.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// A started command.
#[derive(Debug)]
pub struct Running {
    /// Process id, which is also that of its group and session.
    pub pid: i32,
    /// Its input.
    pub stdin: Option<Stream>,
    /// Bytes for its input, after which it ends.
    pub given: Option<Bytes>,
    /// Its outputs, with the kind of their frames.
    pub outputs: Vec<(u8, Stream)>,
    /// Its terminal.
    pub terminal: Option<Stream>,
    /// How long it may run.
    pub timeout: Option<Duration>,
    ended: oneshot::Receiver<Ended>,
}

impl Running {
    /// A command with this process id, not connected to anything yet.
    pub fn new(pid: i32, ended: oneshot::Receiver<Ended>) -> Self {
        Self {
            pid,
            stdin: None,
            given: None,
            outputs: Vec::new(),
            terminal: None,
            timeout: None,
            ended,
        }
    }

    /// Passes its output on until it has ended; `hangup` ends it early.
    ///
    /// Returns after the last frame was accepted by `out`.
    pub async fn supervise(mut self, out: mpsc::Sender<Frame>, hangup: CancellationToken) -> Exit {
        let mut tasks = JoinSet::new();
        if let (Some(stdin), Some(bytes)) = (self.stdin.take(), self.given.take()) {
            tasks.spawn(feed(stdin, bytes));
        }
        let ended = CancellationToken::new();
        let mut pumps = JoinSet::new();
        for (kind, stream) in self.outputs.drain(..) {
            pumps.spawn(pump(kind, stream, out.clone(), ended.clone()));
        }
        drop(out);
        let exit = self.wait(&hangup).await;
        ended.cancel();
        while pumps.join_next().await.is_some() {}
        exit
    }

    async fn wait(&mut self, hangup: &CancellationToken) -> Exit {
        let expired = async {
            match self.timeout {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = &mut self.ended => exit(ended, false),
            () = expired => exit(self.end(libc::SIGTERM).await, true),
            () = hangup.cancelled() => exit(self.end(libc::SIGHUP).await, false),
        }
    }

    /// Asks the group to end, and kills what is left of it after a while.
    async fn end(&mut self, signal: i32) -> Result<Ended, oneshot::error::RecvError> {
        let group = self.pid;
        sys::signal_group(group, signal);
        // A stopped process would not see the signal.
        sys::signal_group(group, libc::SIGCONT);
        // On its own: the command may end at once, and others of its group not.
        tokio::spawn(async move {
            tokio::time::sleep(KILL_AFTER).await;
            sys::signal_group(group, libc::SIGKILL);
        });
        (&mut self.ended).await
    }
}

fn exit(ended: Result<Ended, oneshot::error::RecvError>, timed_out: bool) -> Exit {
    let (code, signal) = match ended {
        Ok(Ended::Exited(code)) => (code, None),
        Ok(Ended::Killed(signal)) => (128 + signal, Some(signal)),
        // The reaper drops a sender only after it used it.
        Err(_) => (255, None),
    };
    Exit {
        code: if timed_out { 124 } else { code },
        signal,
        timed_out,
    }
}

impl NotStarted {
    /// What the caller sees instead of output: a message, and how it ended.
    pub fn outcome(&self) -> (Frame, Exit) {
        let message = format!("miosa: {}\n", self.message);
        let exit = Exit {
            code: self.code,
            signal: None,
            timed_out: false,
        };
        (Frame::copy(frame::STDERR, message.as_bytes()), exit)
    }
}

/// Writes all bytes and ends the input. A command that does not read is no error.
async fn feed(stdin: Stream, bytes: Bytes) {
    if stdin.write_all(&bytes).await.is_ok() {
        let _ = stdin.end_input().await;
    }
}

/// Passes one output on. A receiver that is slow stops the command; one that is gone breaks its
/// pipe.
async fn pump(kind: u8, stream: Stream, out: mpsc::Sender<Frame>, ended: CancellationToken) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = tokio::select! {
            read = stream.read(&mut buffer) => read,
            () = ended.cancelled() => break,
        };
        let Ok(bytes @ 1..) = read else { return };
        if out.send(Frame::copy(kind, &buffer[..bytes])).await.is_err() {
            return;
        }
    }
    drain(kind, &stream, &out, &mut buffer).await;
}

/// Passes on all that the command wrote before its exit, and a little of what a child of it that
/// lives on writes, without waiting for that child.
async fn drain(kind: u8, stream: &Stream, out: &mpsc::Sender<Frame>, buffer: &mut [u8]) {
    let mut owed = stream.pending();
    let mut until = None;
    loop {
        let patience = if owed > 0 {
            SILENCE
        } else {
            let until = *until.get_or_insert_with(|| Instant::now() + DRAIN_MAX);
            SILENCE.min(until.saturating_duration_since(Instant::now()))
        };
        let Ok(Ok(bytes @ 1..)) = timeout(patience, stream.read(buffer)).await else {
            return;
        };
        owed = owed.saturating_sub(bytes);
        if out.send(Frame::copy(kind, &buffer[..bytes])).await.is_err() {
            return;
        }
    }
}
