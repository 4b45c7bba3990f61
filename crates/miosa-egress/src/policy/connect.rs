//! The first decision: what to do with a connection, before anything is read from it but its name.

use miosa_api::broker::{Effect, PolicyMode, RefusalCode};

use super::compiled::CompiledPolicy;
use super::host::{Destination, Host};
use crate::refusal::Refusal;

/// What to do with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connect {
    /// End TLS here and judge every request.
    Intercept,
    /// Pass TLS through, its server name having been checked.
    Tunnel,
    /// Cleartext HTTP: judge every request.
    Plain,
    /// Refuse.
    Deny(Refusal),
}

impl CompiledPolicy {
    /// Decides on a connection. Deny beats allow; a host with a reason to look is looked into.
    #[must_use]
    pub fn decide_connect(&self, to: &Destination) -> Connect {
        if let Some(refusal) = self.denied_host(to) {
            return Connect::Deny(refusal);
        }
        let is_allowed = self
            .rules_about(&to.host)
            .any(|rule| rule.effect == Effect::Allow);
        let has_reason =
            self.is_bound_host(&to.host) || self.rules_about(&to.host).any(|r| r.needs_request());
        let unruled = !is_allowed && !self.is_bound(to);
        if unruled && matches!(to.host, Host::Address(_)) {
            return Connect::Deny(address_literal(to));
        }
        // Cleartext to a bound host is let in to be refused in words when it carries a credential.
        let judged_later = !to.tls && self.is_bound_host(&to.host);
        if unruled && self.mode == PolicyMode::Enforce && !judged_later {
            return Connect::Deny(not_allowed(to));
        }
        if !to.tls {
            return Connect::Plain;
        }
        let watched = unruled && !self.bindings.is_empty();
        if has_reason || watched {
            Connect::Intercept
        } else {
            Connect::Tunnel
        }
    }

    /// The refusal of a rule that denies the whole host.
    fn denied_host(&self, to: &Destination) -> Option<Refusal> {
        let mut rules = self.rules_about(&to.host);
        let rule = rules.find(|rule| rule.effect == Effect::Deny && !rule.needs_request())?;
        Some(denied(to, &rule.id))
    }

    /// The second look of rules, when method and path are known.
    pub(super) fn check_rules(
        &self,
        to: &Destination,
        method: &str,
        path: &str,
    ) -> Result<(), Refusal> {
        let covering = |effect| {
            let mut rules = self.rules_about(&to.host);
            rules.find(|rule| rule.effect == effect && rule.covers(method, path))
        };
        if let Some(rule) = covering(Effect::Deny) {
            return Err(denied(to, &rule.id));
        }
        let is_name = to.host.name().is_some();
        let passes = (self.mode == PolicyMode::AuditOnly && is_name)
            || self.is_bound(to)
            || covering(Effect::Allow).is_some();
        if passes { Ok(()) } else { Err(not_allowed(to)) }
    }

    /// Whether a rule looks at the paths of this host.
    pub(super) fn has_path_rules(&self, host: &Host) -> bool {
        self.rules_about(host).any(|rule| rule.needs_request())
    }
}

fn denied(to: &Destination, rule: &str) -> Refusal {
    let message = format!(
        "A rule of this sandbox refuses this request to {}.",
        to.host
    );
    let hint = "Do without it, or ask the sandbox's owner to change the rule.";
    Refusal::new(RefusalCode::HostDenied, message, hint).by_rule(rule)
}

fn not_allowed(to: &Destination) -> Refusal {
    let message = format!(
        "No rule of this sandbox allows this request to {}.",
        to.host
    );
    let hint = "Ask the sandbox's owner to allow the host, or use one that is allowed.";
    Refusal::new(RefusalCode::HostNotAllowed, message, hint)
}

fn address_literal(to: &Destination) -> Refusal {
    let message = format!(
        "The address {} was dialled without a name, and no rule allows it.",
        to.host
    );
    let hint = "Use the host's name, or ask the sandbox's owner to allow the address range.";
    Refusal::new(RefusalCode::AddressLiteral, message, hint)
}
