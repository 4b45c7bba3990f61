//! What a request was let through for, asked again when the policy changes before it has ended: while its
//! provider is dialled, between the pieces of its body, and as long as a WebSocket lasts.

use std::sync::{Arc, Weak};

use http::{Method, Uri};
use miosa_api::broker::BindingPolicy;

use crate::policy::{CompiledPolicy, Destination};
use crate::sandbox::{Generation, Sandbox};
use crate::weaken::{Defence, is_off};

/// What a request was let through for.
pub struct Begun {
    destination: Destination,
    method: Method,
    target: Uri,
    binding: Option<Arc<BindingPolicy>>,
    /// Whether a credential belonged there although none was asked for.
    is_bound: bool,
}

impl Begun {
    /// A request as `generation` let it through, with the binding whose credential it carries.
    pub fn new(
        destination: &Destination,
        generation: &Generation,
        binding: Option<Arc<BindingPolicy>>,
        (method, target): (&Method, &Uri),
    ) -> Self {
        let endpoint = || {
            let policy = &generation.policy;
            policy.is_endpoint(destination, method.as_str(), target.path())
        };
        Self {
            is_bound: binding.is_some() || endpoint(),
            method: method.clone(),
            target: target.clone(),
            destination: destination.clone(),
            binding,
        }
    }

    /// Whether `policy` would let the same begin: with the very credential it was opened with, or without
    /// one where none belongs now either.
    pub fn is_granted(&self, policy: &CompiledPolicy) -> bool {
        let (to, method, path) = (&self.destination, self.method.as_str(), self.target.path());
        policy.admits(to, method, path)
            && match &self.binding {
                Some(binding) => policy.bindings().any(|present| present == &**binding),
                None => self.is_bound || !policy.is_endpoint(to, method, path),
            }
    }
}

/// Leave to go on that is asked for at every step rather than waited for; cheap while nothing changes.
pub struct Leave {
    sandbox: Arc<Sandbox>,
    begun: Arc<Begun>,
    /// The last generation that was asked. Weak, for a generation holds secrets.
    granted_by: Weak<Generation>,
}

impl Leave {
    /// Leave by the generation that let it begin.
    pub fn new(sandbox: &Arc<Sandbox>, generation: &Arc<Generation>, begun: &Arc<Begun>) -> Self {
        Self {
            sandbox: Arc::clone(sandbox),
            begun: Arc::clone(begun),
            granted_by: Arc::downgrade(generation),
        }
    }

    /// Whether the policy in force lets it go on.
    pub fn holds(&mut self) -> bool {
        let current = self.sandbox.generation.borrow();
        match &*current {
            _ if is_off(Defence::Generation) => true,
            Some(generation) if Arc::as_ptr(generation) == self.granted_by.as_ptr() => true,
            Some(generation) => {
                let is_granted = self.begun.is_granted(&generation.policy);
                if is_granted {
                    self.granted_by = Arc::downgrade(generation);
                }
                is_granted
            }
            None => is_off(Defence::FailClosed),
        }
    }

    /// Waits until it no longer holds.
    pub async fn ended(&mut self) {
        let mut changes = self.sandbox.generation.subscribe();
        while self.holds() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
