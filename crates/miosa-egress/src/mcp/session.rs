//! MCP sessions of one sandbox, by the binding that began them.
//!
//! INVARIANT: only ids that a provider gave to this sandbox are sent on. They are forgotten with the broker: a
//! client that is told so begins anew.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miosa_api::limits::{MCP_SESSION_ID_BYTES_MAX, MCP_SESSIONS_PER_SANDBOX_MAX};

use super::held::Held;

/// What the broker remembers of a sandbox's use of MCP.
#[derive(Default)]
pub struct State {
    /// Binding and id, the oldest first.
    sessions: Mutex<VecDeque<(String, String)>>,
    held: Arc<AtomicUsize>,
}

impl State {
    /// A count of bytes held for this sandbox.
    pub fn held(&self) -> Held {
        Held::new(Arc::clone(&self.held))
    }

    /// Remembers a session.
    pub fn begin(&self, binding: &str, id: &str) {
        if id.len() > MCP_SESSION_ID_BYTES_MAX || self.knows(binding, id) {
            return;
        }
        let mut sessions = self.lock();
        if sessions.len() >= MCP_SESSIONS_PER_SANDBOX_MAX {
            sessions.pop_front();
        }
        sessions.push_back((binding.to_owned(), id.to_owned()));
    }

    /// Whether this binding began it.
    pub fn knows(&self, binding: &str, id: &str) -> bool {
        let sessions = self.lock();
        sessions
            .iter()
            .any(|(by, known)| by == binding && known == id)
    }

    /// Forgets one.
    pub fn end(&self, binding: &str, id: &str) {
        self.lock()
            .retain(|(by, known)| by != binding || known != id);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(String, String)>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
