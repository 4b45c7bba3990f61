//! Threads that serve connections, one a core, each with a runtime of its own.
//!
//! A sandbox's connection, and the connections to providers that its requests use, live on one lane:
//! what a request needs is woken on the thread that waits for it, where waking costs no system call.
//! Connections are dealt out in turn, whosever they are.

use std::cell::Cell;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// The lanes. Their threads, and what is left on them, end with this value.
pub struct Lanes {
    handles: Vec<Handle>,
    dealt: AtomicUsize,
    _end: DropGuard,
}

impl Lanes {
    /// Starts a lane for each core.
    pub fn start() -> io::Result<Self> {
        let end = CancellationToken::new();
        let handles = (0..count()).map(|index| start_one(index, end.clone()));
        Ok(Self {
            handles: handles.collect::<io::Result<_>>()?,
            dealt: AtomicUsize::new(0),
            _end: end.drop_guard(),
        })
    }

    /// The lane for the next connection.
    pub fn next(&self) -> &Handle {
        let turn = self.dealt.fetch_add(1, Ordering::Relaxed);
        &self.handles[turn % self.handles.len()]
    }
}

fn count() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

fn start_one(index: usize, end: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let run = move || {
        CURRENT.set(index);
        runtime.block_on(end.cancelled_owned());
    };
    std::thread::Builder::new()
        .name(format!("lane-{index}"))
        .spawn(run)?;
    Ok(handle)
}

/// One of something for each lane.
pub struct PerLane<T>(Vec<T>);

impl<T> PerLane<T> {
    /// Makes them.
    pub fn new(make: impl Fn() -> T) -> Self {
        Self((0..count()).map(|_| make()).collect())
    }

    /// That of the lane this is called on.
    pub fn here(&self) -> &T {
        let index = CURRENT.get();
        &self.0[index % self.0.len()]
    }
}
