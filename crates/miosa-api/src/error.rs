//! Errors as callers see them: a stable code, a sentence, a hint.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Body of every answer that is not 2xx: `{"error": {…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// One error. `code` never changes its meaning; `message` may be reworded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorDetail {
    /// Stable, upper case, from [`ErrorCode`] (or [`crate::broker::RefusalCode`] at the broker).
    pub code: String,
    /// What happened and why, for a person.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Id of the request, also in the `x-request-id` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Facts for a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub retryable: bool,
    /// Seconds to wait before a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal, $retry:literal;)*) => {
        /// The closed list of codes of the control plane.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)* }

        impl ErrorCode {
            /// All codes, for the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as it travels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retry,)* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or a field has the wrong type.
    BadRequest = "BAD_REQUEST", 400, false;
    /// A field's value is not allowed.
    ValidationFailed = "VALIDATION_FAILED", 422, false;
    /// No key, or not one of ours.
    Unauthorized = "UNAUTHORIZED", 401, false;
    /// The key lacks the scope.
    Forbidden = "FORBIDDEN", 403, false;
    /// The tenant or workspace named in a header is not the key's.
    InvalidTenantContext = "INVALID_TENANT_CONTEXT", 403, false;
    /// No such thing, or not the caller's.
    NotFound = "NOT_FOUND", 404, false;
    /// The route exists with another method.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405, false;
    /// A name that is taken.
    NameTaken = "NAME_TAKEN", 409, false;
    /// A live workspace has this name.
    WorkspaceNameExists = "WORKSPACE_NAME_EXISTS", 409, false;
    /// Same idempotency key, other body.
    IdempotencyPayloadMismatch = "IDEMPOTENCY_PAYLOAD_MISMATCH", 409, false;
    /// The first request with this idempotency key has not ended.
    IdempotencyInProgress = "IDEMPOTENCY_IN_PROGRESS", 409, true;
    /// Too many requests.
    RateLimited = "RATE_LIMITED", 429, true;
    /// A body over its limit.
    TooLarge = "TOO_LARGE", 413, false;
    /// An unforeseen failure; the log has it under the request id.
    Internal = "INTERNAL", 500, false;

    /// Unknown template.
    TemplateNotFound = "TEMPLATE_NOT_FOUND", 404, false;
    /// The template is being built or its build failed.
    TemplateNotReady = "TEMPLATE_NOT_READY", 409, true;
    /// The template has sandboxes.
    TemplateInUse = "TEMPLATE_IN_USE", 409, false;
    /// A build specification that does not hold together.
    InvalidBuildspec = "INVALID_BUILDSPEC", 422, false;
    /// The tenant's limit of live sandboxes is reached.
    PlanCapExceeded = "PLAN_CAP_EXCEEDED", 422, false;
    /// The sandbox is not in state `running`.
    SandboxNotRunning = "SANDBOX_NOT_RUNNING", 409, false;
    /// The sandbox is starting.
    SandboxStarting = "SANDBOX_STARTING", 409, true;
    /// The guest agent does not answer yet.
    SandboxNotCommandReady = "SANDBOX_NOT_COMMAND_READY", 409, true;
    /// Resume of something that is not paused.
    SandboxNotPaused = "SANDBOX_NOT_PAUSED", 409, false;
    /// The transition is not allowed from this state.
    ResourceState = "RESOURCE_STATE", 409, false;
    /// The host may not create namespaces, mounts or control groups.
    RuntimeUnavailable = "RUNTIME_UNAVAILABLE", 503, false;
    /// The sandbox could not be started; `details.reason` says why. Not repeated by itself: the same
    /// request makes another sandbox, doomed for the same reason.
    SandboxStartFailed = "SANDBOX_START_FAILED", 500, false;
    /// The guest agent is gone or does not answer.
    AgentUnavailable = "AGENT_UNAVAILABLE", 503, true;
    /// The host's or the sandbox's disk is full.
    DiskFull = "DISK_FULL", 507, false;
    /// More seconds than allowed.
    TimeoutTooLong = "TIMEOUT_TOO_LONG", 422, false;
    /// A path that is relative, too long, has a NUL, or leaves the sandbox's root.
    InvalidPath = "INVALID_PATH", 400, false;
    /// No such file in the sandbox.
    FileNotFound = "FILE_NOT_FOUND", 404, false;

    /// Unknown connector.
    ConnectorNotFound = "CONNECTOR_NOT_FOUND", 404, false;
    /// No definition for this provider.
    UnknownProvider = "UNKNOWN_PROVIDER", 422, false;
    /// A managed connector can be bound, never read.
    ManagedProviderBindingOnly = "MANAGED_PROVIDER_BINDING_ONLY", 403, false;
    /// The operator has not supplied the managed connector's token.
    ManagedConnectorNotConfigured = "MANAGED_CONNECTOR_NOT_CONFIGURED", 409, false;
    /// The real value would enter the sandbox; switched off on this server.
    PlainEnvNotAllowed = "PLAIN_ENV_NOT_ALLOWED", 403, false;
    /// A variable's name that is malformed or changes how programs load.
    InvalidEnvName = "INVALID_ENV_NAME", 422, false;
    /// Another connector already uses this variable in this sandbox.
    EnvNameTaken = "ENV_NAME_TAKEN", 409, false;
    /// Two bindings of one sandbox would match the same request.
    BindingConflict = "BINDING_CONFLICT", 409, false;
    /// An empty, multi-line, non-ASCII or over-long secret.
    InvalidSecret = "INVALID_SECRET", 422, false;
    /// The connector is not attached to this sandbox.
    ConnectorNotBound = "CONNECTOR_NOT_BOUND", 409, false;
    /// The probe of a connector failed; `details` has each step.
    PreflightFailed = "PREFLIGHT_FAILED", 422, false;
    /// The egress broker does not answer: nothing is sent, nothing attached.
    BrokerUnavailable = "BROKER_UNAVAILABLE", 503, true;
    /// No such agent runner.
    UnknownHarness = "UNKNOWN_HARNESS", 422, false;
    /// The runner's program is not in the template.
    AgentNotInstalled = "AGENT_NOT_INSTALLED", 422, false;
    /// No agent runs in this sandbox.
    NoAgentRun = "NO_AGENT_RUN", 409, false;
    /// The run has ended.
    RunEnded = "RUN_ENDED", 409, false;
    /// Device login: not yet approved.
    AuthorizationPending = "AUTHORIZATION_PENDING", 428, true;
    /// Device login: the code is too old.
    ExpiredToken = "EXPIRED_TOKEN", 410, false;
    /// A preview token that is missing or for another sandbox or port.
    PreviewForbidden = "PREVIEW_FORBIDDEN", 401, false;
    /// Nothing listens on that port in the sandbox.
    PreviewNotListening = "PREVIEW_NOT_LISTENING", 502, true;
    /// Part of the contract that this server does not offer.
    NotAvailable = "NOT_AVAILABLE", 501, false;
}
