//! Network policies as callers see them: policies, rules, what they come to, and what was refused.

use serde::{Deserialize, Serialize};

use crate::broker::{Effect, PolicyMode};

/// Whether hosts without a rule may be reached, for a tenant, a workspace or a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EgressPolicy {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// `audit_only` or `enforce`.
    pub mode: PolicyMode,
    /// `deny` or `allow`: what `enforce` does with hosts without a rule.
    pub default_effect: Effect,
    /// `tenant`, `workspace` or `sandbox`.
    pub resource_type: String,
    /// Which workspace or sandbox.
    pub resource_id: Option<String>,
    /// Rules that were added to it.
    pub rules: Vec<EgressRule>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When it was last changed.
    pub updated_at: String,
}

/// Body of `POST /egress/policies`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct CreateEgressPolicy {
    /// For people; `default` when absent.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// `enforce` when absent.
    pub mode: Option<PolicyMode>,
    /// `deny` when absent.
    pub default_effect: Option<Effect>,
    /// `sandbox` with a `resource_id`, else `tenant`, when absent.
    pub resource_type: Option<String>,
    /// Which workspace or sandbox.
    pub resource_id: Option<String>,
}

/// Body of `PATCH /egress/policies/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct PatchEgressPolicy {
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// `enforce` is lockdown, `audit_only` is observe.
    pub mode: Option<PolicyMode>,
    /// What `enforce` does with hosts without a rule.
    pub default_effect: Option<Effect>,
}

/// Body of `PATCH /egress/policies`: sets the mode of a resource, whatever policies it has.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetEgressMode {
    /// `enforce` is lockdown (hosts without a rule are refused), `audit_only` is observe.
    pub mode: PolicyMode,
    /// `sandbox` with a `resource_id`, else `tenant`, when absent.
    #[serde(default)]
    pub resource_type: Option<String>,
    /// Which workspace or sandbox.
    #[serde(default)]
    pub resource_id: Option<String>,
}

/// One rule. Deny beats allow, wherever the two stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EgressRule {
    /// Its id, also in refusals.
    pub id: String,
    /// Exact host, `*.example.com` (one level below), or an address range for address literals.
    pub host: String,
    /// `allow` or `deny`.
    pub effect: Effect,
    /// Methods it is about; all when empty.
    pub methods: Vec<String>,
    /// Path it is about, segment by segment, `*` for one and a last `**` for any rest; all when absent.
    pub path_glob: Option<String>,
    /// The policy it was added to.
    pub policy_id: Option<String>,
    /// `tenant`, `workspace`, `sandbox`, or `template` for hosts a template brings.
    pub resource_type: String,
    /// Which of them.
    pub resource_id: Option<String>,
    /// For people.
    pub note: Option<String>,
    /// When it was made (RFC 3339).
    pub created_at: String,
}

/// Body of `POST /egress/allowlist`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct CreateEgressRule {
    /// Exact host, `*.example.com`, an address or a range of addresses.
    pub host: String,
    /// `allow` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Methods it is about; all when empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Path it is about; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_glob: Option<String>,
    /// Policy it is added to; it has that one's resource then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    /// `sandbox` with a `resource_id`, else `tenant`, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Which workspace or sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What all policies and rules come to for one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EffectivePolicy {
    /// `enforce` refuses hosts without a rule.
    pub mode: PolicyMode,
    /// What set the mode: the id of a policy, `metadata.network_policy`, or `default`.
    pub set_by: String,
    /// Every rule that holds, of tenant, workspace, sandbox and template.
    pub rules: Vec<EgressRule>,
    /// Endpoints of attached connectors: reached whatever the mode.
    pub bound: Vec<String>,
}

/// A host that was asked for and has no rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Suggestion {
    /// The host.
    pub host: String,
    /// How often it was asked for.
    pub count: i64,
    /// How often of these it was refused.
    pub refused: i64,
    /// When last (RFC 3339).
    pub last_seen: String,
    /// Body of `POST /egress/allowlist` that would allow it.
    pub rule: CreateEgressRule,
}

/// What becomes of one request of a sandbox, and why: the broker's own decision, nothing sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explanation {
    /// Method that was asked about.
    pub method: String,
    /// Address that was asked about, without its query.
    pub url: String,
    /// `allow` or `deny`, for the request with the credential in `binding`, if there is one.
    pub decision: Effect,
    /// How it would go: `intercept`, `tunnel` or `http`; absent when refused.
    pub transport: Option<String>,
    /// What decided: a rule's id, `binding:<id>`, `mode:enforce`, `mode:audit_only` or `built-in:<what>`.
    pub rule: String,
    /// Stable code of the refusal.
    pub code: Option<String>,
    /// What is refused and why.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// What would be accepted instead.
    pub allowed: Vec<String>,
    /// The credential this request has to carry.
    pub binding: Option<ExplainedBinding>,
    /// What becomes of the request with each credential that belongs to its host.
    pub credentials: Vec<ExplainedCredential>,
    /// Whether hosts without a rule are refused.
    pub mode: PolicyMode,
    /// Generation of the policy that decided.
    pub policy_generation: u64,
}

/// A binding, in an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExplainedBinding {
    /// The binding.
    pub id: String,
    /// Uid of its connector.
    pub connector: String,
    /// The variable that holds its placeholder.
    pub env_name: String,
    /// How the placeholder is carried.
    pub places: Vec<String>,
}

/// A request with one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ExplainedCredential {
    /// The variable.
    pub env_name: String,
    /// Uid of its connector.
    pub connector: String,
    /// `allow` or `deny`.
    pub decision: Effect,
    /// Stable code of the refusal.
    pub code: Option<String>,
    /// Where the credential may go.
    pub allowed: Vec<String>,
}
