//! What policies and rules of tenant, workspace, sandbox and template come to for one sandbox.
//!
//! Rules of all levels hold together; deny beats allow at the broker. The mode is the strictest of tenant
//! and workspace, unless the sandbox has policies of its own: then it is the strictest of those.

use miosa_api::broker::{Effect, PolicyMode, Rule};
use miosa_api::egress::{EgressPolicy, EgressRule};
use miosa_api::sandbox::NetworkPolicy;

use crate::clock::rfc3339;
use crate::store::network_policies::{self, PolicyRow};
use crate::store::network_rules::{self, RuleRow};
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App};

/// Named as what set the mode when `metadata.network_policy` did.
const METADATA: &str = "metadata.network_policy";
/// And when nothing did.
const DEFAULT: &str = "default";

/// What holds for one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Whether hosts without a rule are refused.
    pub mode: PolicyMode,
    /// What set the mode.
    pub set_by: String,
    /// All rules that hold.
    pub rules: Vec<EgressRule>,
}

impl Effective {
    /// Of a sandbox, as the database has it now.
    pub async fn of(app: &App, row: &SandboxRow) -> Result<Self, ApiError> {
        let workspace = row.workspace_id.as_deref().unwrap_or_default();
        let policies = network_policies::list(&app.pool, &row.tenant_id, "", "").await?;
        let rules =
            network_rules::of_sandbox(&app.pool, &row.tenant_id, workspace, &row.id).await?;
        Ok(compose(row, &policies, &rules))
    }

    /// The policy that set the mode; none where no policy did.
    pub fn policy_id(&self) -> Option<&str> {
        let is_policy = self.set_by != METADATA && self.set_by != DEFAULT;
        is_policy.then_some(self.set_by.as_str())
    }

    /// The rules as the broker takes them.
    pub fn broker_rules(&self) -> Vec<Rule> {
        let rule = |rule: &EgressRule| Rule {
            id: rule.id.clone(),
            policy_id: rule.policy_id.clone(),
            host: rule.host.clone(),
            effect: rule.effect,
            methods: rule.methods.clone(),
            path: rule.path_glob.clone(),
        };
        self.rules.iter().map(rule).collect()
    }
}

fn compose(row: &SandboxRow, policies: &[PolicyRow], rules: &[RuleRow]) -> Effective {
    let network = row.network_policy();
    let (mode, set_by) = mode(row, network.as_ref(), policies);
    let mut all: Vec<EgressRule> = rules.iter().map(rule_view).collect();
    all.extend(network.iter().flat_map(|network| of_metadata(row, network)));
    if mode == PolicyMode::Enforce {
        let hosts = row.image().hosts.into_iter().enumerate();
        all.extend(hosts.map(|(n, host)| EgressRule {
            resource_type: "template".to_owned(),
            resource_id: Some(row.template_id.clone()),
            ..plain(row, format!("template:{n}"), host)
        }));
    }
    Effective {
        mode,
        set_by,
        rules: all,
    }
}

fn mode(
    row: &SandboxRow,
    network: Option<&NetworkPolicy>,
    policies: &[PolicyRow],
) -> (PolicyMode, String) {
    let of = |kind: &str, id: &str| {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        let here = move |p: &&PolicyRow| p.resource_type == kind && p.resource_id == id;
        policies.iter().filter(here).collect::<Vec<_>>()
    };
    let strictest = |rows: &[&PolicyRow]| {
        let closing = rows.iter().find(|policy| refuses_the_rest(policy));
        let policy = closing.or_else(|| rows.first())?;
        let mode = closing.map_or(PolicyMode::AuditOnly, |_| PolicyMode::Enforce);
        Some((mode, policy.id.clone()))
    };
    if let Some(own) = strictest(&of("sandbox", &row.id)) {
        return own;
    }
    if network.is_some_and(denies_all) {
        return (PolicyMode::Enforce, METADATA.to_owned());
    }
    let mut above = of("tenant", "");
    if let Some(workspace) = &row.workspace_id {
        above.extend(of("workspace", workspace));
    }
    let nothing = (PolicyMode::AuditOnly, DEFAULT.to_owned());
    strictest(&above).unwrap_or(nothing)
}

/// A word nobody wrote here refuses rather than allows.
fn refuses_the_rest(policy: &PolicyRow) -> bool {
    policy.mode != "audit_only" && policy.default_effect != "allow"
}

/// Everything but a plain `allow-all` refuses what no rule allows.
pub(crate) fn denies_all(network: &NetworkPolicy) -> bool {
    !matches!(network.mode.replace('_', "-").as_str(), "allow-all" | "")
}

fn of_metadata(row: &SandboxRow, network: &NetworkPolicy) -> Vec<EgressRule> {
    let allowed = network.allowed_domains.iter().chain(&network.allowed_cidrs);
    let allow = allowed
        .enumerate()
        .map(|(n, host)| plain(row, format!("network_policy:allow:{n}"), host.clone()));
    let denied = network.denied_cidrs.iter().enumerate();
    let deny = denied.map(|(n, range)| EgressRule {
        effect: Effect::Deny,
        ..plain(row, format!("network_policy:deny:{n}"), range.clone())
    });
    allow.chain(deny).collect()
}

fn plain(row: &SandboxRow, id: String, host: String) -> EgressRule {
    EgressRule {
        id,
        host: host.to_ascii_lowercase(),
        effect: Effect::Allow,
        methods: Vec::new(),
        path_glob: None,
        policy_id: None,
        resource_type: "sandbox".to_owned(),
        resource_id: Some(row.id.clone()),
        note: None,
        created_at: rfc3339(row.created_at),
    }
}

/// A rule as it is shown.
#[must_use]
pub fn rule_view(row: &RuleRow) -> EgressRule {
    EgressRule {
        id: row.id.clone(),
        host: row.host.clone(),
        effect: effect(&row.effect),
        methods: row.methods(),
        path_glob: row.path_glob.clone(),
        policy_id: row.policy_id.clone(),
        resource_type: row.resource_type.clone(),
        resource_id: Some(row.resource_id.clone()).filter(|id| !id.is_empty()),
        note: row.note.clone(),
        created_at: rfc3339(row.created_at),
    }
}

/// A policy as it is shown, with the rules that were added to it.
#[must_use]
pub fn policy_view(row: &PolicyRow, rules: &[RuleRow]) -> EgressPolicy {
    let own = rules
        .iter()
        .filter(|rule| rule.policy_id.as_deref() == Some(&row.id));
    EgressPolicy {
        id: row.id.clone(),
        name: row.name.clone(),
        description: row.description.clone(),
        mode: match row.mode.as_str() {
            "audit_only" => PolicyMode::AuditOnly,
            _ => PolicyMode::Enforce,
        },
        default_effect: effect(&row.default_effect),
        resource_type: row.resource_type.clone(),
        resource_id: Some(row.resource_id.clone()).filter(|id| !id.is_empty()),
        rules: own.map(rule_view).collect(),
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
    }
}

/// A word nobody wrote here refuses rather than allows.
fn effect(word: &str) -> Effect {
    match word {
        "allow" => Effect::Allow,
        _ => Effect::Deny,
    }
}

#[cfg(test)]
mod tests;
