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

/// A stored secret in the egress API's words; a connector elsewhere. There is no room for its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EgressSecret {
    /// Its id, the connector's.
    pub id: String,
    /// Second half of the connector's uid.
    pub name: String,
    /// The connector's uid.
    pub uid: String,
    /// Provider of its definition.
    pub provider: String,
    /// `api_key`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `tenant`, `workspace` or `user`.
    pub scope: String,
    /// Workspace, for that scope.
    pub workspace_id: Option<String>,
    /// Absent: users are not told apart.
    pub owner_user_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// White-label attribution.
    pub external_workspace_id: Option<String>,
    /// The same stars for every value.
    pub masked_value: String,
    /// Absent: see the audit.
    pub last_used_at: Option<String>,
    /// Absent: values do not expire here.
    pub expires_at: Option<String>,
    /// Empty.
    #[schema(value_type = Object)]
    pub metadata: serde_json::Map<String, serde_json::Value>,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// When the value was last replaced.
    pub updated_at: String,
}

/// Body of `POST /egress/secrets`. Deliberately neither `Debug` nor `Serialize`.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
pub struct CreateEgressSecret {
    /// `<provider>/<name>`, or a name; `ANTHROPIC_API_KEY` and its like say which provider is meant.
    pub name: String,
    /// The value.
    pub value: String,
    /// Provider of a definition, when the name does not say it.
    pub provider: Option<String>,
    /// `user` when absent.
    pub scope: Option<String>,
    /// Variable, to attach it at once.
    pub expose_as_env: Option<String>,
    /// Sandbox, to attach it at once.
    pub resource_id: Option<String>,
    /// Workspace, for that scope.
    pub workspace_id: Option<String>,
    /// White-label attribution.
    pub external_user_id: Option<String>,
    /// White-label attribution.
    pub external_workspace_id: Option<String>,
    /// Refused: values are not renewed here.
    pub refresh_token: Option<String>,
    /// Refused: values do not expire here.
    pub expires_at: Option<String>,
}

/// Body of `PATCH /egress/secrets/{id}`. Deliberately neither `Debug` nor `Serialize`.
#[derive(Clone, Deserialize, utoipa::ToSchema)]
pub struct RotateEgressSecret {
    /// The new value.
    pub value: String,
    /// Refused: values are not renewed here.
    pub refresh_token: Option<String>,
    /// Refused: values do not expire here.
    pub expires_at: Option<String>,
}

/// A secret attached to a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EgressBinding {
    /// Its id.
    pub id: String,
    /// The secret.
    pub secret_id: String,
    /// The sandbox.
    pub resource_id: String,
    /// `sandbox`.
    pub resource_type: String,
    /// Variable that holds the placeholder.
    pub expose_as_env: String,
    /// The same under the connectors' name.
    pub env_name: String,
    /// When it was attached (RFC 3339).
    pub created_at: String,
}

/// Body of `POST /egress/bindings`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CreateEgressBinding {
    /// The secret, by id or connector uid.
    pub secret_id: String,
    /// The sandbox.
    pub resource_id: String,
    /// Variable; the definition's when absent.
    pub expose_as_env: Option<String>,
}
