//! Both ends of an exchange, in memory: the caller, whose bytes are all there, and the provider, which
//! reads with the strict reader and answers.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::strict::{self, Plain, Read};

/// What a provider answers.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// The end of a sandbox: gives its bytes, then waits until it is hung up.
pub struct Caller {
    bytes: VecDeque<u8>,
    cut: usize,
    line: Arc<Line>,
}

/// Whether the caller is still there.
#[derive(Default)]
pub struct Line(Mutex<(bool, Option<Waker>)>);

/// The provider's end.
#[derive(Clone, Default)]
pub struct Provider(Arc<Mutex<Wire>>);

/// What a provider was sent.
#[derive(Default)]
pub struct Wire {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// The requests in them.
    pub requests: Vec<Plain>,
    /// What could not be read, if anything.
    pub wrong: Option<&'static str>,
    read: usize,
    answers: VecDeque<u8>,
    waker: Option<Waker>,
}

impl Caller {
    /// Gives `bytes` in pieces of at most `cut`.
    pub fn new(bytes: &[u8], cut: usize, line: Arc<Line>) -> Self {
        let bytes = bytes.iter().copied().collect();
        let cut = cut.max(1);
        Self { bytes, cut, line }
    }
}

impl Line {
    /// Nothing more comes.
    pub fn hang_up(&self) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.0 = true;
        if let Some(waker) = line.1.take() {
            waker.wake();
        }
    }
}

impl AsyncRead for Caller {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.bytes.is_empty() {
            let mut line = this.line.0.lock().unwrap_or_else(PoisonError::into_inner);
            if line.0 {
                return Poll::Ready(Ok(()));
            }
            line.1 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        give(&mut this.bytes, this.cut, into);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Caller {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn give(from: &mut VecDeque<u8>, most: usize, into: &mut ReadBuf<'_>) {
    let count = most.min(from.len()).min(into.remaining());
    let bytes: Vec<u8> = from.drain(..count).collect();
    into.put_slice(&bytes);
}

impl Provider {
    /// What it was sent so far.
    pub fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    /// What was sent beyond whole requests.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.read..]
    }

    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        while self.read < self.bytes.len() && self.wrong.is_none() {
            match strict::read(&self.bytes[self.read..]) {
                Read::Whole(plain, used) => {
                    self.read += used;
                    self.requests.push(plain);
                    self.answers.extend(ANSWER);
                }
                Read::More => return,
                Read::Never(why) => self.wrong = Some(why),
            }
        }
    }
}

impl AsyncRead for Provider {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = self.wire();
        if wire.answers.is_empty() {
            wire.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        give(&mut wire.answers, usize::MAX, into);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Provider {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = self.wire();
        wire.take(bytes);
        if let Some(waker) = wire.waker.take() {
            waker.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Connection for Provider {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
