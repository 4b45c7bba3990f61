//! Bytes held for one sandbox, counted: no more than [`MCP_HELD_BYTES_MAX`] at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use miosa_api::limits::MCP_HELD_BYTES_MAX;

/// Bytes that are held; given back when dropped.
pub struct Held {
    all: Arc<AtomicUsize>,
    own: usize,
}

impl Held {
    /// Nothing yet, of what `all` counts.
    pub const fn new(all: Arc<AtomicUsize>) -> Self {
        Self { all, own: 0 }
    }

    /// Takes so many more, if they are there to be had.
    pub fn grow(&mut self, bytes: usize) -> bool {
        self.own += bytes;
        let before = self.all.fetch_add(bytes, Ordering::Relaxed);
        before + bytes <= MCP_HELD_BYTES_MAX
    }

    /// Gives all back.
    pub fn release(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
        self.own = 0;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}
