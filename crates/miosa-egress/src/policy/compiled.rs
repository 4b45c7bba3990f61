//! The compiled policy of one sandbox: immutable, one per generation.

use std::net::IpAddr;
use std::sync::Arc;

use miosa_api::broker::{BindingPolicy, Effect, PolicyMode, SandboxPolicy};
use miosa_api::limits::BINDINGS_PER_SANDBOX_MAX;
use thiserror::Error;

use super::binding::Binding;
use super::host::{Destination, Host};
use super::rule::CompiledRule;
use crate::weaken::{Defence, is_off};

/// Everything the broker needs to decide for one sandbox.
#[derive(Debug)]
pub struct CompiledPolicy {
    sandbox_id: String,
    tenant_id: String,
    generation: u64,
    pub(super) mode: PolicyMode,
    pub(super) mode_policy_id: Option<String>,
    pub(super) rules: Vec<CompiledRule>,
    pub(crate) bindings: Vec<Binding>,
}

/// Why a policy cannot be put in force. The generation before it stays.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// A rule's host or path cannot be read.
    #[error("rule {rule}: its host or path cannot be read")]
    Rule {
        /// The rule.
        rule: String,
    },
    /// A damaged placeholder.
    #[error("binding {binding}: its placeholder is not well formed")]
    Placeholder {
        /// The binding.
        binding: String,
    },
    /// No endpoint or no place.
    #[error("binding {binding}: it has no endpoint or no place")]
    Nowhere {
        /// The binding.
        binding: String,
    },
    /// An endpoint in no canonical spelling.
    #[error(
        "binding {binding}: an endpoint's host, port, method or path is not in its one spelling"
    )]
    Endpoint {
        /// The binding.
        binding: String,
    },
    /// A place no credential may be carried in.
    #[error("binding {binding}: a credential cannot be carried in one of its places")]
    Place {
        /// The binding.
        binding: String,
    },
    /// An MCP server's address or rules that cannot be obeyed.
    #[error("binding {binding}: its MCP server's address, paths or rules cannot be read")]
    Mcp {
        /// The binding.
        binding: String,
    },
    /// Two bindings for the same request.
    #[error("bindings {one} and {another} are for the same requests in the same place; detach one")]
    Overlap {
        /// One binding.
        one: String,
        /// The other.
        another: String,
    },
    /// More than the limit.
    #[error("more than {BINDINGS_PER_SANDBOX_MAX} bindings")]
    TooManyBindings,
}

impl CompiledPolicy {
    /// Checks and compiles what the server sent.
    ///
    /// # Errors
    /// When anything in it cannot be obeyed exactly; nothing is left out or corrected.
    pub fn compile(policy: &SandboxPolicy, sandbox_id: &str) -> Result<Arc<Self>, PolicyError> {
        if policy.bindings.len() > BINDINGS_PER_SANDBOX_MAX {
            return Err(PolicyError::TooManyBindings);
        }
        let mut rules = Vec::new();
        for rule in &policy.rules {
            let unreadable = || PolicyError::Rule {
                rule: rule.id.clone(),
            };
            rules.push(CompiledRule::compile(rule).ok_or_else(unreadable)?);
        }
        let bindings: Result<Vec<_>, _> = policy.bindings.iter().map(Binding::compile).collect();
        let bindings = bindings?;
        if !is_off(Defence::Owner) {
            refuse_overlap(&bindings)?;
        }
        Ok(Arc::new(Self {
            sandbox_id: sandbox_id.to_owned(),
            tenant_id: policy.tenant_id.clone(),
            generation: policy.generation,
            mode: policy.mode,
            mode_policy_id: policy.mode_policy_id.clone(),
            rules,
            bindings,
        }))
    }

    /// The sandbox it is for.
    #[must_use]
    pub fn sandbox_id(&self) -> &str {
        &self.sandbox_id
    }

    /// Owner of that.
    #[must_use]
    pub fn tenant_id(&self) -> &str {
        &self.tenant_id
    }

    /// Which policy of the sandbox it is.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The bindings as they were sent.
    pub fn bindings(&self) -> impl Iterator<Item = &BindingPolicy> {
        self.bindings.iter().map(|binding| &*binding.policy)
    }

    /// Whether a rule refuses this address: to be asked of what a name resolved to, before dialling.
    #[must_use]
    pub fn denies_address(&self, address: IpAddr) -> bool {
        self.has_address_rule(address, Effect::Deny)
    }

    /// Whether a rule allows this address as a literal and none refuses it.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr) -> bool {
        self.has_address_rule(address, Effect::Allow) && !self.denies_address(address)
    }

    fn has_address_rule(&self, address: IpAddr, effect: Effect) -> bool {
        let is_about =
            |rule: &CompiledRule| rule.effect == effect && rule.is_about_address(address);
        self.rules.iter().any(is_about)
    }

    /// Whether a credential belongs to this host, on any port.
    #[must_use]
    pub fn is_bound_host(&self, host: &Host) -> bool {
        self.bindings.iter().any(|binding| binding.is_on_host(host))
    }

    /// Bindings with an endpoint on this host, whatever the port.
    pub(crate) fn bindings_on(&self, host: &Host) -> impl Iterator<Item = &BindingPolicy> {
        let on_host = self
            .bindings
            .iter()
            .filter(|binding| binding.is_on_host(host));
        on_host.map(|binding| &*binding.policy)
    }

    /// Whether a credential belongs to this very host and port over TLS.
    #[must_use]
    pub fn is_bound(&self, to: &Destination) -> bool {
        self.bindings.iter().any(|binding| binding.is_at(to))
    }

    pub(super) fn rules_about<'a, 'b>(
        &'a self,
        host: &'b Host,
    ) -> impl Iterator<Item = &'a CompiledRule> + use<'a, 'b> {
        self.rules.iter().filter(move |rule| rule.is_about(host))
    }
}

fn refuse_overlap(bindings: &[Binding]) -> Result<(), PolicyError> {
    for (index, one) in bindings.iter().enumerate() {
        let clash = |another: &&Binding| {
            one.overlaps(another) || one.policy.placeholder == another.policy.placeholder
        };
        if let Some(another) = bindings[index + 1..].iter().find(clash) {
            return Err(PolicyError::Overlap {
                one: one.policy.binding_id.clone(),
                another: another.policy.binding_id.clone(),
            });
        }
    }
    Ok(())
}
