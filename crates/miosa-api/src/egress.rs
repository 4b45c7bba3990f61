//! Network policies as callers see them: policies, rules, what they come to, and what was refused.

use serde::{Deserialize, Serialize};

use crate::broker::{Effect, PolicyMode};

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
