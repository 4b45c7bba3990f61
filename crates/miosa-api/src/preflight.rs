//! Preflight: the checks made from inside a sandbox before an agent starts.

use serde::{Deserialize, Serialize};

/// Body of `POST /sandboxes/{id}/connectors/preflight`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct PreflightRequest {
    /// Agent that will run: `claude`, `codex`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Connector that must be bound and usable; all bound ones when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// Tolerated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Working directory of the run; must exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
}

/// Answer of a preflight that passed; one that fails is an error with the same steps in `details.steps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Preflight {
    /// True.
    pub ok: bool,
    /// `{"bound": true}`, the shape older clients read.
    pub status: PreflightStatus,
    /// Each step in order.
    pub steps: Vec<PreflightStep>,
}

/// See [`Preflight::status`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PreflightStatus {
    /// Whether the connector is bound.
    pub bound: bool,
}

/// One step of a preflight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PreflightStep {
    /// Stable name: `bound`, `defences`, `cwd`, `clock`, `agent`, `agent_config`, `environment`, `probe`,
    /// `wrong_path`, `wrong_method`, `spoofed_host`, `other_host`, `plain_http`, `trust`, `real_value`.
    pub name: String,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What it came to.
    pub code: StepCode,
    /// What was seen.
    pub detail: String,
    /// What to do, when not ok.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a step of a preflight came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StepCode {
    /// As it must be.
    Ok,
    /// Not tried, or no answer in time, where that is no failure by itself; the detail says which.
    NotTried,
    /// The broker has defences switched off: a build for tests.
    DefencesOff,
    /// The working directory is not there.
    CwdMissing,
    /// The clock of the sandbox or of this server is wrong.
    ClockWrong,
    /// The agent's program is not in the sandbox.
    AgentNotInstalled,
    /// The agent's program does not start.
    AgentDoesNotStart,
    /// A settings file the agent reads cannot be read as what it is.
    AgentConfigInvalid,
    /// The variable does not hold the placeholder.
    EnvironmentChanged,
    /// A program that the step needs is not in the sandbox.
    ToolMissing,
    /// The sandbox gave no answer in time.
    NoAnswer,
    /// The egress broker refused what must work.
    BrokerRefused,
    /// The egress broker cannot be reached from the sandbox.
    BrokerUnreachable,
    /// The broker reaches no provider at that address, or its certificate is not good.
    ProviderUnreachable,
    /// The provider does not take the credential (401).
    CredentialRejected,
    /// The provider knows the credential, which may not do this (403).
    CredentialLacksScope,
    /// The provider asks for patience (429).
    ProviderRateLimited,
    /// The provider answered anything else than it must.
    ProviderFailed,
    /// What must be refused was not.
    NotRefused,
    /// A program does not trust the certificates of this sandbox.
    TrustMissing,
    /// The real value of a credential is in the sandbox.
    RealValueFound,
}
