//! When each sandbox was used last, for the idle timeout. Kept in memory, written down by the reaper.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::clock::now_ms;

/// Last use of every sandbox used since the server started.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<Mutex<HashMap<String, Use>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Use {
    last_ms: i64,
    /// Commands and relays under way.
    open: u32,
}

impl Activity {
    /// A short use: a file, a preview request.
    pub fn touch(&self, sandbox_id: &str) {
        self.with(sandbox_id, |entry| entry.last_ms = now_ms());
    }

    /// A long use, until the guard is dropped.
    #[must_use]
    pub fn hold(&self, sandbox_id: &str) -> InUse {
        self.with(sandbox_id, |entry| entry.open += 1);
        InUse {
            activity: self.clone(),
            sandbox_id: sandbox_id.to_owned(),
        }
    }

    /// Last use, now while one is under way.
    #[must_use]
    pub fn last_ms(&self, sandbox_id: &str) -> Option<i64> {
        let uses = self.0.lock().expect("no panic while the lock is held");
        uses.get(sandbox_id).map(|entry| {
            if entry.open > 0 {
                now_ms()
            } else {
                entry.last_ms
            }
        })
    }

    /// Forgets a destroyed sandbox.
    pub fn forget(&self, sandbox_id: &str) {
        self.0
            .lock()
            .expect("no panic while the lock is held")
            .remove(sandbox_id);
    }

    fn with(&self, sandbox_id: &str, change: impl FnOnce(&mut Use)) {
        let mut uses = self.0.lock().expect("no panic while the lock is held");
        change(uses.entry(sandbox_id.to_owned()).or_default());
    }
}

/// Keeps a sandbox from being idle.
#[derive(Debug)]
pub struct InUse {
    activity: Activity,
    sandbox_id: String,
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.activity.with(&self.sandbox_id, |entry| {
            entry.open = entry.open.saturating_sub(1);
            entry.last_ms = now_ms();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Activity;

    #[test]
    fn a_sandbox_in_use_was_used_just_now() {
        let activity = Activity::default();
        assert_eq!(activity.last_ms("s"), None);
        let one = activity.hold("s");
        let two = activity.hold("s");
        drop(one);
        assert!(activity.last_ms("s").expect("known") > 0);
        drop(two);
        assert!(
            activity.last_ms("s").expect("known") > 0,
            "its end counts as a use"
        );
    }
}
