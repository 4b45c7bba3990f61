//! Policy's leave to go on, for what outlives the decision that let it begin: tunnels and WebSockets.
//!
//! INVARIANT: the first look is at the policy in force when the waiting begins, so that a change while a
//! provider was being dialled is not missed.

use std::sync::Arc;

use tokio::sync::watch;

use crate::policy::CompiledPolicy;
use crate::sandbox::{Generation, Sandbox};
use crate::weaken::{Defence, is_off};

type Question = Box<dyn Fn(&CompiledPolicy) -> bool + Send>;

/// Leave that may end.
pub struct Grant {
    generations: watch::Receiver<Option<Arc<Generation>>>,
    is_granted: Question,
}

impl Grant {
    /// Leave to go on as long as `is_granted` says so of each policy of `sandbox`.
    pub fn new(
        sandbox: &Sandbox,
        is_granted: impl Fn(&CompiledPolicy) -> bool + Send + 'static,
    ) -> Self {
        Self {
            generations: sandbox.generation.subscribe(),
            is_granted: Box::new(is_granted),
        }
    }

    /// Waits for a policy that does not grant it.
    pub async fn ended(mut self) {
        self.generations.mark_changed();
        while self.generations.changed().await.is_ok() {
            let generation = self.generations.borrow_and_update().clone();
            let is_granted = match generation {
                _ if is_off(Defence::Generation) => true,
                Some(generation) => (self.is_granted)(&generation.policy),
                None => is_off(Defence::FailClosed),
            };
            if !is_granted {
                return;
            }
        }
    }
}
