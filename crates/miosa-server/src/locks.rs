//! One change of a thing at a time, by its id.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::{Mutex, MutexGuard};

const LOCKS: usize = 64;

/// As many locks as are worth having; two ids may share one.
#[derive(Debug)]
pub(crate) struct Locks([Mutex<()>; LOCKS]);

impl Locks {
    /// None of them held.
    pub(crate) const fn new() -> Self {
        Self([const { Mutex::const_new(()) }; LOCKS])
    }

    /// Waits for the lock of an id.
    pub(crate) async fn of(&'static self, id: &str) -> MutexGuard<'static, ()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0);
        self.0[index].lock().await
    }
}
