//! The broker protocol: how server and shims speak with the egress broker on this host.
//!
//! Two Unix sockets, both mode 0600 in the run directory:
//!
//! * `broker.sock`, HTTP/1.1, for the server:
//!
//! | route | what |
//! |---|---|
//! | `GET /v1/status` | [`BrokerStatus`] |
//! | `GET /v1/session` | answers at once with a body that stays open as long as the broker lives: its end tells the server to push everything again |
//! | `PUT /v1/sandboxes/{id}` | [`SandboxPolicy`] → [`PolicyApplied`]; in force when it answers |
//! | `DELETE /v1/sandboxes/{id}` | forget it: connections cut, placeholders dead → 204 |
//! | `POST /v1/sandboxes/{id}/explain` | [`Explain`] → [`crate::egress::Explanation`]; nothing is sent |
//! | `POST /v1/sandboxes/{id}/mcp-tools` | [`AskMcpTools`] → `[`[`McpTool`](crate::mcp::McpTool)`]`; asks the MCP servers |
//! | `POST /v1/budget-use` | [`AskBudgetUse`](crate::budget::AskBudgetUse) → [`BudgetUse`](crate::budget::BudgetUse) |
//! | `POST /v1/approvals` | [`AskApprovals`](crate::approval::AskApprovals) → `[`[`Approval`](crate::approval::Approval)`]` |
//! | `POST /v1/approvals/answer` | [`ApprovalAnswer`](crate::approval::ApprovalAnswer) → [`Approval`](crate::approval::Approval) |
//! | `POST /v1/reveal` | [`Reveal`] → [`Revealed`]; refused (403) for what was sealed as managed |
//!
//! * `broker-listeners.sock`, `SOCK_SEQPACKET`, for shims: one [`ListenerHandoff`] as JSON with three
//!   descriptors (`SCM_RIGHTS`): TCP, UDP 53, TCP 53 listening sockets made in the sandbox's network
//!   namespace, in this order; answer: one byte, 1 for taken. The shim keeps the connection open; its
//!   end closes the listeners. When the broker restarts, the shim connects and hands over again.
//!   The listener *is* the caller's identity: nothing a sandbox says is ever used for it.

use serde::{Deserialize, Serialize};

use crate::budget::Budget;
use crate::mcp::McpEndpoint;

/// Name of the server's socket in the run directory.
pub const CONTROL_SOCKET: &str = "broker.sock";
/// Name of the shims' socket in the run directory.
pub const LISTENER_SOCKET: &str = "broker-listeners.sock";
/// Beginning of every placeholder without a provider's shape.
pub const PLACEHOLDER_PREFIX: &str = "miosa-tok-";
/// Hex digits of a placeholder after the prefix: 160 random bits and 32 bits of checksum.
pub const PLACEHOLDER_HEX: usize = 48;

/// What a shim says when it hands over listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerHandoff {
    /// The sandbox.
    pub sandbox_id: String,
    /// Start of the sandbox these listeners belong to; a higher one replaces a lower.
    pub generation: u64,
}

/// Everything the broker may know of a sandbox. Immutable: a change is a new generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPolicy {
    /// Counts up with every change of this sandbox's policy.
    pub generation: u64,
    /// Owner, for the audit.
    pub tenant_id: String,
    /// Whether hosts without a rule are refused.
    pub mode: PolicyMode,
    /// The policy that set the mode, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_policy_id: Option<String>,
    /// Rules; deny beats allow.
    pub rules: Vec<Rule>,
    /// Credentials this sandbox may use, without their values.
    pub bindings: Vec<BindingPolicy>,
}

/// What happens to hosts without a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyMode {
    /// Let them pass, write them down. Private addresses stay refused.
    AuditOnly,
    /// Refuse them.
    Enforce,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its id, for the audit.
    pub id: String,
    /// The policy it was added to, for the audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_id: Option<String>,
    /// Exact host, `*.example.com` (one label below), or an address range for address literals.
    pub host: String,
    /// What it does.
    pub effect: Effect,
    /// Methods it is about; all when empty. A rule with methods or a path makes its host intercepted.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Path it is about, segment by segment, `*` for one and `**` for any rest; all when absent.
    #[serde(default)]
    pub path: Option<String>,
}

/// Allow or deny.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// May pass.
    Allow,
    /// May not.
    Deny,
}

/// One credential and the only places it may go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingPolicy {
    /// The binding.
    pub binding_id: String,
    /// The connector's uid, for audit and refusals.
    pub connector: String,
    /// The variable, for refusals.
    pub env_name: String,
    /// What stands in the sandbox's environment.
    pub placeholder: String,
    /// Where the value may go.
    pub endpoints: Vec<Endpoint>,
    /// How the value is carried; exactly one of these in a request.
    pub places: Vec<Place>,
    /// The MCP server it is for, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<McpEndpoint>,
    /// How often it may be used; without it as often as anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The value, sealed for the broker.
    pub sealed: Sealed,
}

/// A place on the internet a credential belongs to. `https` only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Exact host name, lower case, A-labels.
    pub host: String,
    /// Port.
    #[serde(default = "https_port")]
    pub port: u16,
    /// Methods, upper case.
    pub methods: Vec<String>,
    /// Path, segment by segment: literal, `*` for one segment, `**` (last) for any rest.
    /// `/mcp` is that path alone.
    pub path: String,
}

const fn https_port() -> u16 {
    443
}

/// How a credential is carried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Place {
    /// A header whose whole value is `prefix` + token.
    Header {
        /// Its name, lower case.
        name: String,
        /// Text before the token, e.g. `Bearer `; matched without regard to case, sent as written here.
        #[serde(default)]
        prefix: String,
    },
    /// `Authorization: Basic` with the token as password (any user name), or as user name with an
    /// empty or any password.
    Basic,
    /// A query parameter whose whole value is the token.
    Query {
        /// Its name.
        name: String,
    },
    /// An AWS signature (version 4) in `Authorization`: the token is the access key id, and the broker signs anew.
    AwsHeader(AwsScope),
    /// The same in the query (`X-Amz-Credential`), as in presigned addresses.
    AwsQuery(AwsScope),
}

/// What may be signed with AWS keys: part of what a signature is made over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsScope {
    /// Signing names of services: `s3`.
    pub services: Vec<String>,
    /// Regions; `*` alone for all.
    pub regions: Vec<String>,
}

impl AwsScope {
    /// Whether a signature for this may be made.
    #[must_use]
    pub fn covers(&self, service: &str, region: &str) -> bool {
        let is_region = |one: &String| one == region || one == "*";
        self.services.iter().any(|one| one == service) && self.regions.iter().any(is_region)
    }

    /// Whether it names something, in words that can stand in a signature's scope.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_word = |word: &String| {
            let fine =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !word.is_empty() && word.bytes().all(fine)
        };
        let regions_are_fine = self.regions.iter().all(is_word) || self.regions == ["*"];
        let is_something = !self.services.is_empty() && !self.regions.is_empty();
        is_something && self.services.iter().all(is_word) && regions_are_fine
    }
}

/// Row 54: headers that frame or route a message, or that a client fills by itself, carry no credential. For the
/// server, which checks definitions, and the broker, which believes nobody.
#[must_use]
pub fn is_bindable_header(name: &str) -> bool {
    const FORBIDDEN: &[&str] = &[
        "accept-encoding",
        "alt-svc",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "expect",
        "forwarded",
        "host",
        "http2-settings",
        "keep-alive",
        "range",
        "set-cookie",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    const FORBIDDEN_PREFIXES: &[&str] = &["proxy-", "sec-", "x-forwarded-", ":"];
    !FORBIDDEN.contains(&name)
        && !FORBIDDEN_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

/// Whether this can stand in front of a credential in a header: a header's value has no white space in front.
#[must_use]
pub fn is_bindable_prefix(prefix: &str) -> bool {
    let is_fine = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    prefix.bytes().all(is_fine) && !prefix.starts_with(' ')
}

/// A sealed value with all that its associated data binds. Safe to store and to log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Id of the secret (the connector's).
    pub secret_id: String,
    /// Owner: tenant id, or `platform`.
    pub owner: String,
    /// Version, from 1.
    pub version: u64,
    /// Sealed as managed: never revealed.
    pub managed: bool,
    /// Encapsulated key and ciphertext, base64.
    pub ciphertext: String,
}

/// Answer of `PUT /v1/sandboxes/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyApplied {
    /// The generation now in force.
    pub generation: u64,
    /// Certificate of the sandbox's own CA. The key stays in the broker's memory.
    pub ca_pem: String,
}

/// Answer of `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    /// Version of the program.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Sandboxes it knows.
    pub sandboxes: Vec<BrokerSandbox>,
    /// Defences that are switched off. Only a build for tests can do that; such a broker is not safe.
    #[serde(default)]
    pub weakened: Vec<String>,
}

/// One sandbox as the broker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerSandbox {
    /// The sandbox.
    pub id: String,
    /// Generation of its policy; 0 when only its listeners are known.
    pub policy_generation: u64,
    /// Whether its listeners are here.
    pub listening: bool,
}

/// Body of `POST /v1/sandboxes/{id}/explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// Method.
    pub method: String,
    /// Absolute address, `https` or `http`.
    pub url: String,
}

/// Answer of `POST /v1/sandboxes/{id}/scan`, whose body is the bytes to search.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scanned {
    /// Ids of the secrets in force for the sandbox whose value is in the bytes, in one of the forms that are
    /// taken out of answers.
    pub found: Vec<String>,
}

/// Body of `POST /v1/sandboxes/{id}/mcp-tools`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskMcpTools {
    /// Uid of one connector; all when absent.
    pub connector: Option<String>,
}

/// Body of `POST /v1/reveal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reveal {
    /// The sealed value.
    pub sealed: Sealed,
}

/// Answer of `POST /v1/reveal`. Deliberately not `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Revealed {
    /// The value.
    pub value: String,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $status:literal;)*) => {
        /// The closed list of codes with which the broker refuses a sandbox's request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum RefusalCode { $($(#[$doc])* $variant,)* }

        impl RefusalCode {
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
        }
    };
}

refusals! {
    /// No rule allows this host.
    HostNotAllowed = "EGRESS_HOST_NOT_ALLOWED", 403;
    /// A rule refuses this host.
    HostDenied = "EGRESS_HOST_DENIED", 403;
    /// The name resolves to a private, loopback, link-local, metadata or otherwise special address.
    AddressNotAllowed = "EGRESS_ADDRESS_NOT_ALLOWED", 403;
    /// An address literal without a rule.
    AddressLiteral = "EGRESS_ADDRESS_LITERAL", 403;
    /// TLS without a server name, or one unlike the name this address was given for.
    ServerNameMismatch = "EGRESS_SERVER_NAME_MISMATCH", 421;
    /// Host or `:authority` unlike the TLS server name.
    AuthorityMismatch = "EGRESS_AUTHORITY_MISMATCH", 421;
    /// Neither TLS nor HTTP, or not in time.
    ProtocolNotAllowed = "EGRESS_PROTOCOL_NOT_ALLOWED", 400;
    /// A request that parsers may read in two ways.
    MalformedRequest = "EGRESS_MALFORMED_REQUEST", 400;
    /// Dot segments, encoded slashes, double encoding or control bytes in the path to a bound host.
    PathNotCanonical = "EGRESS_PATH_NOT_CANONICAL", 400;
    /// A path the binding does not list.
    PathNotBound = "EGRESS_PATH_NOT_BOUND", 403;
    /// A method the binding does not list.
    MethodNotBound = "EGRESS_METHOD_NOT_BOUND", 403;
    /// A placeholder where its binding does not reach.
    PlaceholderNotBound = "EGRESS_PLACEHOLDER_NOT_BOUND", 403;
    /// A placeholder in a header, query or path that is not its declared place.
    PlaceholderMisplaced = "EGRESS_PLACEHOLDER_MISPLACED", 403;
    /// A placeholder this sandbox does not have.
    PlaceholderUnknown = "EGRESS_PLACEHOLDER_UNKNOWN", 403;
    /// A credential of the caller's own, or none, at a bound endpoint.
    CredentialRequired = "EGRESS_CREDENTIAL_REQUIRED", 403;
    /// A way of signing that the broker does not do: another version of AWS signatures, signed chunks, forms.
    SignatureNotSupported = "EGRESS_SIGNATURE_NOT_SUPPORTED", 403;
    /// A signature for another service or region than the binding lists.
    SignatureScope = "EGRESS_SIGNATURE_SCOPE", 403;
    /// A message to an MCP server that the connector's rules do not allow.
    McpNotAllowed = "EGRESS_MCP_NOT_ALLOWED", 403;
    /// A person was asked whether a message to an MCP server may go, and said no.
    ApprovalDenied = "EGRESS_APPROVAL_DENIED", 403;
    /// A person has to say whether a message to an MCP server may go, and did not in time.
    ApprovalMissing = "EGRESS_APPROVAL_MISSING", 403;
    /// A body for an MCP server under rules that is not one plain JSON text.
    McpNotReadable = "EGRESS_MCP_NOT_READABLE", 400;
    /// A body longer than what is inspected.
    BodyTooLarge = "EGRESS_BODY_TOO_LARGE", 413;
    /// An MCP session that this sandbox did not begin with this connector.
    McpSessionUnknown = "EGRESS_MCP_SESSION_UNKNOWN", 404;
    /// An MCP server's address for logging in: the connector is the login.
    McpLoginNotNeeded = "EGRESS_MCP_LOGIN_NOT_NEEDED", 404;
    /// An MCP server did not take the connector's credential.
    CredentialRejected = "EGRESS_UPSTREAM_CREDENTIAL_REJECTED", 401;
    /// A placeholder over plain HTTP.
    CleartextCredential = "EGRESS_CLEARTEXT_CREDENTIAL", 403;
    /// The secret could not be opened.
    SecretUnavailable = "EGRESS_SECRET_UNAVAILABLE", 503;
    /// The audit could not be written.
    AuditUnavailable = "EGRESS_AUDIT_UNAVAILABLE", 503;
    /// The broker does not know this sandbox's policy yet.
    PolicyUnavailable = "EGRESS_POLICY_UNAVAILABLE", 503;
    /// The name does not resolve.
    UpstreamNotFound = "EGRESS_UPSTREAM_NOT_FOUND", 502;
    /// No connection to the provider.
    UpstreamUnreachable = "EGRESS_UPSTREAM_UNREACHABLE", 502;
    /// The provider's certificate does not verify.
    UpstreamCertificate = "EGRESS_UPSTREAM_CERTIFICATE", 502;
    /// The provider broke off or broke the protocol.
    UpstreamProtocol = "EGRESS_UPSTREAM_PROTOCOL", 502;
    /// A response encoding that cannot be searched for the credential.
    ResponseNotInspectable = "EGRESS_RESPONSE_NOT_INSPECTABLE", 502;
    /// An upgrade other than WebSocket.
    UpgradeNotAllowed = "EGRESS_UPGRADE_NOT_ALLOWED", 403;
    /// Too many connections or requests of this sandbox.
    TooManyRequests = "EGRESS_TOO_MANY_REQUESTS", 429;
    /// The tenant or the sandbox used a managed connector as often as the operator allows; `Retry-After` says when
    /// it may again.
    BudgetSpent = "EGRESS_BUDGET_SPENT", 429;
    /// A head over its limit.
    HeadTooLarge = "EGRESS_HEAD_TOO_LARGE", 431;
}
