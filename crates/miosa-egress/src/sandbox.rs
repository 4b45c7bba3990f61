//! What the broker knows of one sandbox.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use miosa_api::broker::{BindingPolicy, SandboxPolicy};
use miosa_api::limits::{
    BROKER_CONNECTIONS_PER_SANDBOX_MAX, BROKER_REFUSALS_PER_SANDBOX_MAX,
    BROKER_REQUESTS_PER_SANDBOX_MAX, DNS_AT_ONCE_MAX, DNS_AUDITED_AT_ONCE_MAX,
    DNS_AUDITED_PER_SECOND_MAX, DNS_PER_SECOND_MAX, GUESSES_AT_ONCE_MAX, GUESSES_PER_SECOND_MAX,
};
use miosa_vault::OpenError;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::ca::SandboxCa;
use crate::dns::NameTable;
use crate::lanes::PerLane;
use crate::mcp;
use crate::opened::Opened;
use crate::policy::{CompiledPolicy, Host};
use crate::rate::Rate;
use crate::redact::Redactor;
use crate::upstream::{Client, Upstream};
use crate::weaken::{Defence, is_off};

/// One policy of a sandbox, ready for use. Immutable: a change is a new generation, and a request sees
/// exactly one.
pub struct Generation {
    /// As the server sent it.
    pub source: SandboxPolicy,
    /// The same, for decisions.
    pub policy: Arc<CompiledPolicy>,
    /// The sandbox's authority; outlives generations.
    pub ca: Arc<SandboxCa>,
    /// The sandbox's own connections to providers, shared with nobody, each used on one lane alone. Idle ones end with the generation:
    /// their addresses were judged by it.
    pub client: PerLane<Client>,
    /// For what met a connection that was just closing.
    pub fresh_client: Client,
    /// Secrets opened so far, by the placeholder that stands for each: in one policy no two bindings
    /// have the same. Gone with the generation.
    opened: Mutex<Vec<(String, Arc<Opened>)>>,
    /// Searches for several of them at once, made so far.
    joined: Mutex<Vec<(Vec<Arc<Opened>>, Redactor)>>,
}

impl Generation {
    /// A generation ready for use.
    pub fn new(
        source: SandboxPolicy,
        policy: Arc<CompiledPolicy>,
        ca: Arc<SandboxCa>,
        upstream: &Arc<Upstream>,
    ) -> Self {
        Self {
            client: PerLane::new(|| upstream.client(&policy)),
            fresh_client: upstream.fresh_client(&policy),
            source,
            policy,
            ca,
            opened: Mutex::default(),
            joined: Mutex::default(),
        }
    }

    /// Opens a secret of this generation, once.
    pub fn open(&self, broker: &Broker, binding: &BindingPolicy) -> Result<Arc<Opened>, OpenError> {
        let placeholder = &binding.placeholder;
        let lock = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, opened)) = lock().iter().find(|(known, _)| known == placeholder) {
            return Ok(Arc::clone(opened));
        }
        let secret = broker.open(&binding.sealed)?;
        let opened = Arc::new(Opened::of_binding(secret, binding));
        lock().push((placeholder.clone(), Arc::clone(&opened)));
        Ok(opened)
    }

    /// What takes every credential that belongs to `host` out of one of its answers, whichever request it is
    /// for: what one request left there, another could be given. `None` where none belongs.
    pub fn redactor_at(
        &self,
        broker: &Broker,
        host: &Host,
        used: Option<&Arc<Opened>>,
    ) -> Result<Option<Redactor>, OpenError> {
        let mut all: Vec<Arc<Opened>> = used.into_iter().cloned().collect();
        for binding in self.policy.bindings_on(host) {
            let opened = self.open(broker, binding)?;
            if !all.iter().any(|known| Arc::ptr_eq(known, &opened)) {
                all.push(opened);
            }
        }
        match all.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.redactor())),
            _ => Ok(Some(self.joined(all))),
        }
    }

    fn joined(&self, all: Vec<Arc<Opened>>) -> Redactor {
        let mut known = self.joined.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |(of, _): &&(Vec<Arc<Opened>>, Redactor)| {
            of.len() == all.len() && of.iter().zip(&all).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        if let Some((_, redactor)) = known.iter().find(is_same) {
            return redactor.another();
        }
        let redactors: Vec<Redactor> = all.iter().map(|opened| opened.redactor()).collect();
        let joined = Redactor::joined(redactors.iter());
        let another = joined.another();
        known.push((all, joined));
        another
    }
}

fn connections_max() -> usize {
    if is_off(Defence::ConnectionLimit) {
        return Semaphore::MAX_PERMITS;
    }
    BROKER_CONNECTIONS_PER_SANDBOX_MAX
}

/// One sandbox: known from its policy, its listeners, or both.
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// Names it looked up.
    pub names: Arc<Mutex<NameTable>>,
    /// The generation in force; none before the server sent one. Tunnels watch it.
    pub generation: watch::Sender<Option<Arc<Generation>>>,
    /// One a connection.
    pub permits: Arc<Semaphore>,
    /// One a request that is not answered to its end.
    pub requests: Arc<Semaphore>,
    /// One a connection that is told that there are too many.
    pub refusals: Arc<Semaphore>,
    /// Placeholders of nobody.
    pub guesses: Rate,
    /// Look-ups of names.
    pub lookups: Rate,
    /// Look-ups that are written down.
    pub lookups_audited: Rate,
    /// What it does with MCP servers under rules.
    pub mcp: mcp::State,
    /// Cancelled when the server forgets the sandbox.
    pub cancel: CancellationToken,
    listening: Mutex<Option<Arc<Listening>>>,
}

/// Listeners that were handed over for a sandbox.
pub struct Listening {
    /// The sandbox.
    pub sandbox: Arc<Sandbox>,
    /// The start of the sandbox they belong to.
    pub generation: u64,
    /// Cancelled when they close, with all that came in by them.
    pub cancel: CancellationToken,
}

impl Sandbox {
    /// A sandbox of which nothing is known yet.
    pub fn new(id: &str, cancel: CancellationToken) -> Self {
        Self {
            id: id.to_owned(),
            names: Arc::default(),
            generation: watch::Sender::new(None),
            permits: Arc::new(Semaphore::new(connections_max())),
            requests: Arc::new(Semaphore::new(BROKER_REQUESTS_PER_SANDBOX_MAX)),
            refusals: Arc::new(Semaphore::new(BROKER_REFUSALS_PER_SANDBOX_MAX)),
            guesses: Rate::new(GUESSES_AT_ONCE_MAX, GUESSES_PER_SECOND_MAX),
            lookups: Rate::new(DNS_AT_ONCE_MAX, DNS_PER_SECOND_MAX),
            lookups_audited: Rate::new(DNS_AUDITED_AT_ONCE_MAX, DNS_AUDITED_PER_SECOND_MAX),
            mcp: mcp::State::default(),
            cancel,
            listening: Mutex::new(None),
        }
    }

    /// The generation in force now.
    pub fn current(&self) -> Option<Arc<Generation>> {
        self.generation.borrow().clone()
    }

    /// Whether listeners are here.
    pub fn is_listening(&self) -> bool {
        self.lock_listening().is_some()
    }

    /// Takes listeners of `generation`, in place of older ones; none if newer ones are here.
    pub fn listen(self: &Arc<Self>, generation: u64) -> Option<Arc<Listening>> {
        let mut slot = self.lock_listening();
        if slot
            .as_ref()
            .is_some_and(|present| present.generation > generation)
        {
            return None;
        }
        let cancel = self.cancel.child_token();
        let listening = Arc::new(Listening {
            sandbox: Arc::clone(self),
            generation,
            cancel,
        });
        if let Some(replaced) = slot.replace(Arc::clone(&listening)) {
            replaced.cancel.cancel();
        }
        Some(listening)
    }

    /// Forgets `ended`, unless others took its place.
    pub fn stop_listening(&self, ended: &Arc<Listening>) {
        let mut slot = self.lock_listening();
        if slot
            .as_ref()
            .is_some_and(|present| Arc::ptr_eq(present, ended))
        {
            *slot = None;
        }
        ended.cancel.cancel();
    }

    fn lock_listening(&self) -> MutexGuard<'_, Option<Arc<Listening>>> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
