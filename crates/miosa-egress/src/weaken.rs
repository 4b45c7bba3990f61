//! Switches that take single defences away, so that tests of the whole product can show that they
//! notice: a test that passes with its defence switched off tests nothing.
//!
//! INVARIANT: without the cargo feature `weaken`, which no release has, every defence is on and the
//! variable is not even looked at. With it, [`start`] reads the variable once, refuses names it does not
//! know, and says loudly what is off; the broker's status repeats it, and nothing that asks for that
//! calls the broker safe.

macro_rules! defences {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One defence.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Defence { $($(#[$doc])* $variant,)* }

        #[cfg(feature = "weaken")]
        const ALL: &[(Defence, &str)] = &[$((Defence::$variant, $name),)*];
    };
}

defences! {
    /// The broker resolves the host itself, whatever address the sandbox dialled.
    DialledAddress = "dialled-address",
    /// The TLS server name is the name that was looked up.
    ServerName = "server-name",
    /// `Host` and `:authority` are the connection's.
    Authority = "authority",
    /// A credential goes to its binding's hosts alone.
    HostMatch = "host-match",
    /// A credential goes to its binding's paths alone.
    PathMatch = "path-match",
    /// A path with two readings goes to no bound host.
    PathCanonical = "path-canonical",
    /// A credential goes with its binding's methods alone.
    MethodMatch = "method-match",
    /// A placeholder is replaced in its declared place alone.
    PlaceMatch = "place-match",
    /// AWS signatures are made for the binding's services and regions alone.
    CredentialScope = "credential-scope",
    /// No credential goes over plain HTTP.
    Cleartext = "cleartext",
    /// Private and special addresses are not dialled.
    SpecialAddresses = "special-addresses",
    /// A provider's certificate must verify.
    UpstreamCertificate = "upstream-certificate",
    /// The credential is taken out of bodies.
    RedactBody = "redact-body",
    /// The credential is taken out of headers.
    RedactHeaders = "redact-headers",
    /// No compressed answer to a credential passes.
    Compression = "compression",
    /// A request has one length.
    StrictFraming = "strict-framing",
    /// A placeholder is good in its own sandbox alone.
    Owner = "owner",
    /// Each request is decided by the policy in force when it comes.
    Generation = "generation",
    /// A bound endpoint takes the placeholder or nothing.
    RequirePlaceholder = "require-placeholder",
    /// Only WebSocket leaves HTTP.
    Upgrade = "upgrade",
    /// `Alt-Svc` is taken out of answers.
    AltSvc = "alt-svc",
    /// No answer to a credential before it is written down.
    AuditRequired = "audit-required",
    /// No placeholder comes into the audit.
    AuditMask = "audit-mask",
    /// Nothing passes while no policy is known.
    FailClosed = "fail-closed",
    /// The process leaves no core and cannot be read.
    Hardening = "hardening",
    /// A sandbox has so many connections and no more.
    ConnectionLimit = "connection-limit",
    /// DNS answers with addresses of hosts alone.
    Dns = "dns",
    /// Tools, resources and prompts of an MCP server pass by their lists alone.
    McpTools = "mcp-tools",
    /// Methods of an MCP server that no session needs pass by their list alone.
    McpMethods = "mcp-methods",
    /// Arguments of tools are what the conditions say.
    McpArguments = "mcp-arguments",
    /// Lists of an MCP server show what may be used alone.
    McpLists = "mcp-lists",
    /// What goes to an MCP server under rules has one reading.
    McpStrict = "mcp-strict",
    /// And is not longer than what is inspected.
    McpSize = "mcp-size",
    /// An MCP session is the sandbox's own.
    McpSessions = "mcp-sessions",
    /// No sandbox is led to a login.
    McpLogin = "mcp-login",
}

#[cfg(not(feature = "weaken"))]
mod none;
#[cfg(feature = "weaken")]
mod switches;

#[cfg(not(feature = "weaken"))]
pub use none::{dialled, is_off, note_dialled, off, start, verifier};
#[cfg(feature = "weaken")]
pub use switches::{dialled, is_off, note_dialled, off, start, verifier};
