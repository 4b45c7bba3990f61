//! The broker's state: sandboxes, the opening key, the way out and the audit.
//!
//! INVARIANT: only this process has the opening key; it is read once and never leaves this struct.
//! Everything else in memory comes again from the server (policies) and the shims (listeners).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use miosa_api::broker::{
    BindingPolicy, BrokerSandbox, BrokerStatus, ListenerHandoff, PolicyApplied, PolicyMode,
    SandboxPolicy, Sealed,
};
use miosa_api::limits::BROKER_SANDBOXES_MAX;
use miosa_vault::{OpenError, OpeningKey, SecretValue};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approval::Approvals;
use crate::audit::AuditLog;
use crate::budget::Budgets;
use crate::ca::SandboxCa;
use crate::lanes::Lanes;
use crate::policy::CompiledPolicy;
use crate::sandbox::{Generation, Listening, Sandbox};
use crate::upstream::Upstream;
use crate::weaken::{self, Defence, is_off};

/// Shared by all tasks of the process.
pub struct Broker {
    sandboxes: Mutex<HashMap<String, Arc<Sandbox>>>,
    opening_key: OpeningKey,
    upstream: Arc<Upstream>,
    audit: AuditLog,
    budgets: Arc<Budgets>,
    approvals: Approvals,
    lanes: Lanes,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// Why a policy was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// An older generation, or the same with other content.
    #[error("generation {offered} is not newer than {present}, which is in force")]
    Stale {
        /// What came.
        offered: u64,
        /// What is in force.
        present: u64,
    },
    /// The sandbox belongs to another tenant.
    #[error("the sandbox belongs to another tenant")]
    OtherTenant,
    /// Too many.
    #[error("this broker serves {BROKER_SANDBOXES_MAX} sandboxes already")]
    Full,
    /// It could not be compiled.
    #[error("the policy is not valid")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Broker {
    /// A broker that knows no sandbox yet.
    pub fn new(
        opening_key: OpeningKey,
        upstream: Upstream,
        audit: AuditLog,
        budgets: Arc<Budgets>,
        lanes: Lanes,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            sandboxes: Mutex::default(),
            opening_key,
            upstream: Arc::new(upstream),
            audit,
            budgets,
            approvals: Approvals::default(),
            lanes,
            cancel,
            tasks: TaskTracker::new(),
        }
    }

    /// Puts a policy in force. Requests that begin after this returns see it.
    pub fn apply(&self, id: &str, source: SandboxPolicy) -> Result<PolicyApplied, ApplyError> {
        let mut sandboxes = self.lock();
        let known = sandboxes.get(id).cloned();
        let present = known.as_ref().and_then(|sandbox| sandbox.current());
        if let Some(present) = &present {
            if present.source.tenant_id != source.tenant_id {
                return Err(ApplyError::OtherTenant);
            }
            if present.source == source {
                return Ok(applied(present));
            }
            if source.generation <= present.source.generation {
                let present = present.source.generation;
                return Err(ApplyError::Stale {
                    offered: source.generation,
                    present,
                });
            }
        }
        let foreign = foreign_bindings(&sandboxes, id);
        let generation = Arc::new(self.compile(id, source, foreign, present.as_deref())?);
        let sandbox = match known {
            Some(sandbox) => sandbox,
            None => self.insert(&mut sandboxes, id).ok_or(ApplyError::Full)?,
        };
        sandbox
            .generation
            .send_replace(Some(Arc::clone(&generation)));
        Ok(applied(&generation))
    }

    fn compile(
        &self,
        id: &str,
        source: SandboxPolicy,
        foreign: Vec<BindingPolicy>,
        present: Option<&Generation>,
    ) -> Result<Generation, ApplyError> {
        let mut obeyed = source.clone();
        obeyed.bindings.extend(foreign);
        let policy = CompiledPolicy::compile(&obeyed, id)
            .map_err(|error| ApplyError::Invalid(error.into()))?;
        let ca = match present {
            Some(present) => Arc::clone(&present.ca),
            None => {
                let key = self
                    .opening_key
                    .derive("sandbox-ca", &[id, &source.tenant_id]);
                let ca = SandboxCa::new(key.as_slice(), id);
                Arc::new(ca.map_err(|error| ApplyError::Invalid(error.into()))?)
            }
        };
        Ok(Generation::new(source, policy, ca, &self.upstream))
    }

    /// The generation in force for a sandbox.
    pub fn current(&self, id: &str) -> Option<Arc<Generation>> {
        let sandbox = self.lock().get(id).cloned()?;
        sandbox.current()
    }

    /// The policy in force for a sandbox.
    pub fn policy(&self, id: &str) -> Option<Arc<CompiledPolicy>> {
        self.current(id).map(|g| Arc::clone(&g.policy))
    }

    /// The secrets in force for a sandbox whose value is in `bytes`, by id.
    ///
    /// # Errors
    /// When one does not open.
    pub fn scan(&self, id: &str, bytes: &Bytes) -> Result<Vec<String>, OpenError> {
        let sandbox = self.lock().get(id).cloned();
        let Some(generation) = sandbox.and_then(|sandbox| sandbox.current()) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for binding in &generation.source.bindings {
            let mut redactor = generation.open(self, binding)?.redactor();
            let _ = (redactor.push(bytes), redactor.finish());
            if redactor.has_redacted() {
                found.push(binding.sealed.secret_id.clone());
            }
        }
        Ok(found)
    }

    /// Nothing: a sandbox without a policy has none. With the defence off, one that lets all pass.
    pub fn open_generation(&self, id: &str) -> Option<Arc<Generation>> {
        if !is_off(Defence::FailClosed) {
            return None;
        }
        let open = SandboxPolicy {
            generation: 0,
            tenant_id: String::new(),
            mode: PolicyMode::AuditOnly,
            mode_policy_id: None,
            rules: Vec::new(),
            bindings: Vec::new(),
        };
        self.compile(id, open, Vec::new(), None).ok().map(Arc::new)
    }

    /// Forgets a sandbox: its connections are cut and its placeholders dead.
    pub fn forget(&self, id: &str) {
        if let Some(sandbox) = self.lock().remove(id) {
            sandbox.generation.send_replace(None);
            sandbox.cancel.cancel();
        }
    }

    /// Takes listeners; none if newer ones are here.
    pub fn listen(&self, handoff: &ListenerHandoff) -> Option<Arc<Listening>> {
        let mut sandboxes = self.lock();
        let known = sandboxes.get(&handoff.sandbox_id).cloned();
        let sandbox = known.or_else(|| self.insert(&mut sandboxes, &handoff.sandbox_id))?;
        sandbox.listen(handoff.generation)
    }

    /// Forgets listeners, and the sandbox when nothing else is known of it.
    pub fn stop_listening(&self, listening: &Arc<Listening>) {
        let mut sandboxes = self.lock();
        let sandbox = &listening.sandbox;
        sandbox.stop_listening(listening);
        let is_present = sandboxes
            .get(&sandbox.id)
            .is_some_and(|present| Arc::ptr_eq(present, sandbox));
        if is_present && !sandbox.is_listening() && sandbox.current().is_none() {
            sandboxes.remove(&sandbox.id);
        }
    }

    fn insert(
        &self,
        sandboxes: &mut HashMap<String, Arc<Sandbox>>,
        id: &str,
    ) -> Option<Arc<Sandbox>> {
        if sandboxes.len() >= BROKER_SANDBOXES_MAX {
            return None;
        }
        let sandbox = Arc::new(Sandbox::new(id, self.cancel.child_token()));
        sandboxes.insert(id.to_owned(), Arc::clone(&sandbox));
        Some(sandbox)
    }

    /// What the broker knows.
    pub fn status(&self) -> BrokerStatus {
        let mut sandboxes: Vec<_> = self
            .lock()
            .values()
            .map(|sandbox| BrokerSandbox {
                id: sandbox.id.clone(),
                policy_generation: sandbox.current().map_or(0, |g| g.source.generation),
                listening: sandbox.is_listening(),
            })
            .collect();
        sandboxes.sort_by(|a, b| a.id.cmp(&b.id));
        BrokerStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            sandboxes,
            weakened: weaken::off(),
        }
    }

    /// Seals or derives with the opening key.
    pub fn with_key<T>(&self, make: impl FnOnce(&OpeningKey) -> T) -> T {
        make(&self.opening_key)
    }

    /// Opens a sealed secret.
    pub fn open(&self, sealed: &Sealed) -> Result<SecretValue, OpenError> {
        self.opening_key.open(sealed)
    }

    /// The way out.
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// The audit.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// How often managed connectors were used.
    pub fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// What waits for a person.
    pub const fn approvals(&self) -> &Approvals {
        &self.approvals
    }

    /// The threads that serve connections.
    pub const fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    /// Cancelled when the broker ends.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// All tasks of the broker.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Sandbox>>> {
        self.sandboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// None: a sandbox has its own credentials. With the defence off, those of all sandboxes.
fn foreign_bindings(sandboxes: &HashMap<String, Arc<Sandbox>>, id: &str) -> Vec<BindingPolicy> {
    if !is_off(Defence::Owner) {
        return Vec::new();
    }
    let others = sandboxes.values().filter(|sandbox| sandbox.id != id);
    let policies = others.filter_map(|sandbox| sandbox.current());
    policies
        .flat_map(|generation| generation.source.bindings.clone())
        .collect()
}

fn applied(generation: &Generation) -> PolicyApplied {
    PolicyApplied {
        generation: generation.source.generation,
        ca_pem: generation.ca.pem().to_owned(),
    }
}
