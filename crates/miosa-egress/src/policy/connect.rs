//! The first decision: what to do with a connection, before anything is read from it but its name.

use miosa_api::broker::{Effect, PolicyMode, RefusalCode};

use super::binding::{Binding, Reach};
use super::compiled::CompiledPolicy;
use super::host::{Destination, Host};
use super::rule::CompiledRule;
use crate::refusal::Refusal;

/// Rules shown in a refusal; a list of more helps nobody.
const ALLOWED_SHOWN_MAX: usize = 32;
/// Named as the rule when none of the sandbox's own decided.
pub(super) const RULE_ENFORCE: &str = "mode:enforce";
pub(super) const RULE_AUDIT_ONLY: &str = "mode:audit_only";

/// What the ids of listeners without a sandbox begin with.
pub(crate) const LISTENER_ID: &str = "listener:";

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

/// Preflights of browsers and discovery documents are asked for without a credential by design.
pub(super) fn is_neutral(method: &str, path: &str) -> bool {
    method == "OPTIONS" || (method == "GET" && path.starts_with("/.well-known/"))
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
            return Connect::Deny(self.address_literal(to));
        }
        // Cleartext to a bound host is let in to be refused in words when it carries a credential.
        let judged_later = !to.tls && self.is_bound_host(&to.host);
        if unruled && self.mode == PolicyMode::Enforce && !judged_later {
            return Connect::Deny(self.not_allowed(to));
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
        Some(self.denied(to, rule))
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
            return Err(self.denied(to, rule));
        }
        let is_name = to.host.name().is_some();
        let passes = (self.mode == PolicyMode::AuditOnly && is_name)
            || self.is_opened_by_binding(to, method, path)
            || covering(Effect::Allow).is_some();
        if passes {
            Ok(())
        } else {
            Err(self.not_allowed(to))
        }
    }

    /// Whether a binding opens its host for such a request: at its endpoints, and to those that ask how to
    /// begin there.
    fn is_opened_by_binding(&self, to: &Destination, method: &str, path: &str) -> bool {
        self.is_endpoint(to, method, path) || (self.is_bound(to) && is_neutral(method, path))
    }

    /// Whether rules let a request pass, whatever credential it carries.
    #[must_use]
    pub fn admits(&self, to: &Destination, method: &str, path: &str) -> bool {
        !matches!(self.decide_connect(to), Connect::Deny(_))
            && self.check_rules(to, method, path).is_ok()
    }

    /// Whether a credential belongs to such a request.
    #[must_use]
    pub fn is_endpoint(&self, to: &Destination, method: &str, path: &str) -> bool {
        let mut bindings = self.bindings.iter();
        bindings.any(|binding| binding.reach(to, method, path) == Reach::Bound)
    }

    /// The rule that lets a request pass, or what does instead of one; and the policy that is of.
    #[must_use]
    pub(crate) fn allowing_rule(
        &self,
        to: &Destination,
        method: &str,
        path: &str,
    ) -> (String, Option<&str>) {
        let mut rules = self.rules_about(&to.host);
        let rule = rules.find(|rule| rule.effect == Effect::Allow && rule.covers(method, path));
        let opens = |binding: &&Binding| {
            let is_endpoint = binding.reach(to, method, path) == Reach::Bound;
            is_endpoint || (binding.is_at(to) && is_neutral(method, path))
        };
        let binding = self.bindings.iter().find(opens);
        match (rule, binding) {
            (Some(rule), _) => (rule.id.clone(), rule.policy_id.as_deref()),
            (None, Some(binding)) => (binding.rule_id(), None),
            (None, None) => (RULE_AUDIT_ONLY.to_owned(), self.mode_policy_id.as_deref()),
        }
    }

    /// What may be asked instead: of this host where a rule is about it, else of any.
    fn allowed_for(&self, host: &Host) -> Vec<String> {
        let allow = |rule: &&CompiledRule| rule.effect == Effect::Allow;
        let text = |rule: &CompiledRule| rule.text.clone();
        let endpoints = self
            .bindings
            .iter()
            .filter(|binding| binding.is_on_host(host));
        let endpoints = endpoints.flat_map(Binding::describe_endpoints);
        let rules = self.rules_about(host).filter(allow).map(text);
        let here: Vec<String> = rules.chain(endpoints).collect();
        if !here.is_empty() {
            return here.into_iter().take(ALLOWED_SHOWN_MAX).collect();
        }
        let rules = self.rules.iter().filter(allow).map(text);
        let bound = self.bindings.iter().flat_map(Binding::describe_endpoints);
        rules.chain(bound).take(ALLOWED_SHOWN_MAX).collect()
    }

    fn denied(&self, to: &Destination, rule: &CompiledRule) -> Refusal {
        let message = format!(
            "A rule of this sandbox refuses this request to {}.",
            to.host
        );
        let hint = match self.sandbox_id().strip_prefix(LISTENER_ID) {
            Some(name) => format!(
                "Do without it, or ask the broker's operator about this rule of the listener `{name}`."
            ),
            None => format!(
                "Do without it, or ask the sandbox's owner about this rule: `miosa sandbox network show {}`.",
                self.sandbox_id()
            ),
        };
        let allowed = match self.mode {
            PolicyMode::Enforce => self.allowed_for(&to.host),
            PolicyMode::AuditOnly => vec!["what no deny rule is about".to_owned()],
        };
        Refusal::new(RefusalCode::HostDenied, message, hint)
            .by_rule(&rule.id)
            .of_policy(rule.policy_id.as_deref())
            .with_allowed(allowed)
    }

    fn not_allowed(&self, to: &Destination) -> Refusal {
        let message = format!(
            "No rule of this sandbox allows this request to {}.",
            to.host
        );
        Refusal::new(RefusalCode::HostNotAllowed, message, self.how_to_ask(to))
            .by_rule(RULE_ENFORCE)
            .of_policy(self.mode_policy_id.as_deref())
            .with_allowed(self.allowed_for(&to.host))
    }

    fn address_literal(&self, to: &Destination) -> Refusal {
        let message = format!(
            "The address {} was dialled without a name, and no rule allows it.",
            to.host
        );
        let hint = format!(
            "Use the host's name. If there is none, {}",
            self.how_to_ask(to)
        );
        Refusal::new(RefusalCode::AddressLiteral, message, hint)
            .with_allowed(self.allowed_for(&to.host))
    }

    fn how_to_ask(&self, to: &Destination) -> String {
        let host = match &to.host {
            Host::Address(address) => address.to_string(),
            Host::Name(name) => name.clone(),
        };
        if let Some(name) = self.sandbox_id().strip_prefix(LISTENER_ID) {
            return format!(
                "ask the broker's operator for a rule that allows {host} to the listener `{name}`."
            );
        }
        format!(
            "ask the sandbox's owner for it: `miosa sandbox network allow {} {host}`.",
            self.sandbox_id()
        )
    }

    /// Whether a rule looks at the paths of this host.
    pub(super) fn has_path_rules(&self, host: &Host) -> bool {
        self.rules_about(host).any(|rule| rule.needs_request())
    }
}
