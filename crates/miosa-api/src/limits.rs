//! Every limit of the product, by name, with its reason.

use std::time::Duration;

/// Largest request body of a JSON route, in bytes.
pub const JSON_BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest file that may be written through the API, in bytes (streamed, never held in memory whole
/// on the raw route; the base64 JSON routes are bounded by [`FILE_JSON_BYTES_MAX`]).
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Largest file body of the base64 JSON routes, in bytes of the request.
pub const FILE_JSON_BYTES_MAX: usize = 2 * 1024 * 1024 * 1024;
/// Longest path inside a sandbox, in bytes (`PATH_MAX`).
pub const PATH_BYTES_MAX: usize = 4096;
/// Output of one `exec` answer kept per stream, in bytes; what is over is cut and said so.
pub const EXEC_OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest `exec`, and its default (contract: above it is `TIMEOUT_TOO_LONG`).
pub const EXEC_TIMEOUT_MAX: Duration = Duration::from_secs(600);
/// Longest agent run.
pub const RUN_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Agent run without a `--timeout`.
pub const RUN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3600);
/// How long `POST /runs` waits for an end before it answers with the running run.
pub const RUN_WAIT_MAX: Duration = Duration::from_secs(600);
/// Events kept of one run; later ones are dropped, but the end is always told.
pub const RUN_EVENTS_MAX: i64 = 20_000;
/// Pieces of output kept of one run (each at most one frame of the guest); later ones are dropped.
pub const RUN_OUTPUT_PIECES_MAX: i64 = 10_000;
/// How much of a sandbox's environment and files a preflight searches for real values: small files are
/// where settings and logins are, and it shall take well under a second.
pub const PREFLIGHT_SEARCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a preflight may take, from the first probe to the last answer.
pub const PREFLIGHT_TIMEOUT: Duration = Duration::from_secs(8);
/// Output of a detached process kept for reading, in bytes; older output is dropped first.
pub const PROCESS_LOG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of a detached process's command that a listing shows; a shell's text may have megabytes.
pub const PROCESS_COMMAND_BYTES_MAX: usize = 4096;
/// Detached processes remembered per sandbox, ended ones dropped first.
pub const PROCESSES_MAX: usize = 256;
/// Sandbox lifetime without a `timeout_sec`.
pub const SANDBOX_TIMEOUT_DEFAULT_SEC: i64 = 3600;
/// Longest sandbox lifetime that can be asked for.
pub const SANDBOX_TIMEOUT_MAX_SEC: i64 = 30 * 24 * 3600;
/// How long a sandbox may take from start to a guest that answers.
pub const SANDBOX_BOOT_TIMEOUT: Duration = Duration::from_secs(30);
/// Live sandboxes per tenant.
pub const SANDBOXES_PER_TENANT_MAX: i64 = 200;
/// Snapshots of one tenant that its lists show.
pub const SNAPSHOTS_PER_TENANT_MAX: i64 = 500;
/// Bytes of a tenant's snapshots together: more than that and one tenant fills the host.
pub const SNAPSHOT_BYTES_PER_TENANT_MAX: i64 = 256 * 1024 * 1024 * 1024;
/// Snapshots one over the other, as forks of forks make them: each is a mount and a look of every search for
/// a file.
pub const SNAPSHOT_DEPTH_MAX: usize = 32;
/// Letters of a snapshot's comment: a line in a list.
pub const SNAPSHOT_COMMENT_CHARS_MAX: usize = 500;
/// Processes and threads in one sandbox.
pub const SANDBOX_PIDS_MAX: u32 = 4096;
/// Longest connector secret, in bytes (a header must hold it).
pub const SECRET_BYTES_MAX: usize = 8192;
/// Shortest connector secret, in bytes: what is shorter can be guessed, and would be found by chance
/// where answers are searched for it.
pub const SECRET_BYTES_MIN: usize = 8;
/// Connectors attached to one sandbox.
pub const BINDINGS_PER_SANDBOX_MAX: usize = 64;
/// Rules of one tenant, workspace or sandbox: the broker looks at all that hold for a request.
pub const NETWORK_RULES_MAX: i64 = 500;
/// Rules of a tenant's levels together: workspaces are not counted, and each could have its own.
pub const NETWORK_RULES_PER_TENANT_MAX: i64 = 20_000;
/// Network policies of a tenant: all are looked through for the mode of each of its sandboxes.
pub const NETWORK_POLICIES_MAX: i64 = 2000;
/// Letters of a rule's path: all rules of a sandbox fit into one message to the broker.
pub const RULE_PATH_CHARS_MAX: usize = 1024;
/// Hosts a list of suggestions has.
pub const SUGGESTIONS_MAX: i64 = 500;
/// Variables of one sandbox, and bytes of one value.
pub const ENV_VARS_MAX: usize = 512;
/// Bytes of one variable's value.
pub const ENV_VALUE_BYTES_MAX: usize = 128 * 1024;
/// Rows of a page when not asked for, and at most.
pub const PAGE_SIZE_DEFAULT: u32 = 20;
/// Rows of a page at most.
pub const PAGE_SIZE_MAX: u32 = 100;
/// Paths of one export: each is looked at before the first byte.
pub const EXPORT_PATHS_MAX: usize = 100;
/// How long packing an export may take: as an upload, as slow as the caller reads.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(3600);
/// A workspace's name: a line in a list.
pub const WORKSPACE_NAME_CHARS_MAX: usize = 120;
/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_TTL: Duration = Duration::from_secs(24 * 3600);
/// Requests a minute and key.
pub const RATE_LIMIT_RPM_DEFAULT: u32 = 6000;

/// Bytes of a TLS ClientHello (with post-quantum key shares) before the broker gives up.
pub const CLIENT_HELLO_BYTES_MAX: usize = 64 * 1024;
/// How long a caller may take to send its ClientHello or request head.
pub const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of all headers of one brokered request.
pub const BROKER_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Header fields of one brokered request.
pub const BROKER_HEADERS_MAX: usize = 128;
/// Open connections of one sandbox at the broker.
pub const BROKER_CONNECTIONS_PER_SANDBOX_MAX: usize = 1024;
/// How long the broker waits for an upstream connection with its TLS handshake.
pub const UPSTREAM_CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Names one sandbox may have resolved at a time (least recently used go first).
pub const DNS_NAMES_PER_SANDBOX_MAX: usize = 65_536;
/// Leaf certificates kept per sandbox.
pub const LEAVES_PER_SANDBOX_MAX: u64 = 512;
/// Sandboxes one broker serves.
pub const BROKER_SANDBOXES_MAX: usize = 4096;
/// Requests at a time on one HTTP/2 connection of a sandbox.
pub const BROKER_STREAMS_MAX: u32 = 128;
/// Requests of one sandbox that are not answered to their end, on all its connections: as many as it may
/// have connections; all streams of all of them would be gigabytes of buffers.
pub const BROKER_REQUESTS_PER_SANDBOX_MAX: usize = 1024;
/// Streams that may be reset before they were answered before the connection is cut (rapid reset).
pub const BROKER_RESETS_MAX: usize = 64;
/// How long a sandbox's connection may be idle between requests.
pub const BROKER_IDLE_MAX: Duration = Duration::from_secs(75);
/// How long a provider may take to answer once nothing more is sent to it.
pub const UPSTREAM_ANSWER_MAX: Duration = Duration::from_secs(15 * 60);
/// How long an unused connection to a provider is kept: less than most providers do.
pub const UPSTREAM_IDLE_MAX: Duration = Duration::from_secs(30);
/// Labels of a name the broker's DNS answers for: real hosts have fewer, channels through names more.
pub const DNS_LABELS_MAX: usize = 16;
/// Bytes of an answer to a credential up to which it is passed on in one piece if it came in one: larger
/// ones are streamed, and no more of them is held than a frame.
pub const WHOLE_ANSWER_BYTES_MAX: usize = 32 * 1024;
/// Bytes of audit events that nobody waits for and that are not written yet: some hundred events.
pub const AUDIT_PENDING_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a refused request's body that are read before the refusal is sent: clients that still
/// send when a stream ends take the answer for a protocol error.
pub const REFUSED_BODY_BYTES_MAX: u64 = 1024 * 1024;
/// How long that reading may take.
pub const REFUSED_BODY_TIMEOUT: Duration = Duration::from_secs(2);
/// Connections of one sandbox over [`BROKER_CONNECTIONS_PER_SANDBOX_MAX`] that are told so at a time;
/// more of them wait.
pub const BROKER_REFUSALS_PER_SANDBOX_MAX: usize = 16;
/// How long such a connection may take to hear it.
pub const BROKER_REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Placeholders of nobody that one sandbox may send at once, and a second after that; then nothing with
/// a placeholder passes. A program with an old environment tries again some times, a guess has to try
/// for ever.
pub const GUESSES_AT_ONCE_MAX: u32 = 100;
/// The same a second.
pub const GUESSES_PER_SECOND_MAX: u32 = 1;
/// Leaf certificates made for one sandbox at once: as many as are kept.
pub const LEAVES_AT_ONCE_MAX: u32 = 512;
/// The same a second: more names than any real program visits.
pub const LEAVES_PER_SECOND_MAX: u32 = 20;
/// Look-ups of one sandbox at once.
pub const DNS_AT_ONCE_MAX: u32 = 4000;
/// The same a second: a build that fetches from many hosts stays far below.
pub const DNS_PER_SECOND_MAX: u32 = 500;
/// Odd look-ups of one sandbox written down at once: the audit tells of a channel through names, it need
/// not keep what was sent through it.
pub const DNS_AUDITED_AT_ONCE_MAX: u32 = 100;
/// The same a second.
pub const DNS_AUDITED_PER_SECOND_MAX: u32 = 1;
/// How long the end of a piece of an answer that could be the beginning of a credential is held back when
/// nothing follows: callers and providers that take turns wait for whole messages.
pub const REDACTION_LET_GO_AFTER: Duration = Duration::from_millis(10);
/// Bytes of such an end that may pass then: less than the prefixes that tell providers' keys apart, so
/// that it shows next to nothing of a key.
pub const REDACTION_LET_GO_BYTES_MAX: usize = 4;
/// Bytes of one message, or batch, to an MCP server under rules: it is held and read whole before it goes. A file in
/// an argument fits; more is not what tools are called with.
pub const MCP_REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one answer or event of such a server: it is held whole until what must not be seen is out of it. A page
/// with a picture in it fits.
pub const MCP_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of such messages and answers held for one sandbox at a time.
pub const MCP_HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long the body of such a message may take to come.
pub const MCP_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Values inside one another in such a message or answer: deeper than any real one, and shallow enough for every parser.
pub const MCP_DEPTH_MAX: usize = 64;
/// Messages in one batch.
pub const MCP_BATCH_MAX: usize = 64;
/// MCP sessions one sandbox has at a time; the oldest give way.
pub const MCP_SESSIONS_PER_SANDBOX_MAX: usize = 256;
/// Bytes of a session's id.
pub const MCP_SESSION_ID_BYTES_MAX: usize = 1024;
/// Entries of one list of a policy on MCP.
pub const MCP_RULES_MAX: usize = 256;
/// Bytes of one entry.
pub const MCP_RULE_BYTES_MAX: usize = 256;
/// Pages of a list of tools that are asked for.
pub const MCP_TOOL_PAGES_MAX: usize = 20;
/// How long a tool of `miosa mcp` waits unless it is told otherwise: many clients give a call up after 60 s.
pub const MCP_TOOL_WAIT_DEFAULT: Duration = Duration::from_secs(45);
/// How long it waits at most, for clients with more patience; a caller that waits longer asks again.
pub const MCP_TOOL_WAIT_MAX: Duration = Duration::from_secs(600);
/// Bytes of one text in a tool's result: it goes into a model's context, which is small and paid for.
pub const MCP_TOOL_TEXT_BYTES_MAX: usize = 32 * 1024;
/// Accounts of budgets that the broker counts at a time, each of a connector and a tenant or sandbox: more than
/// that is a tenant that makes sandboxes without end, and a map that fills memory.
pub const BUDGET_COUNTERS_MAX: usize = 100_000;
/// How long a call waits for a person: less than the 60 seconds after which many clients give up, so that the agent
/// is told and does not guess.
pub const APPROVAL_WAIT_MAX: Duration = Duration::from_secs(50);
/// How long a question can be answered, and its answer be used: a person may be at lunch.
pub const APPROVAL_KEPT: Duration = Duration::from_secs(3600);
/// Questions of one sandbox at a time: more than that nobody reads one by one.
pub const APPROVALS_PER_SANDBOX_MAX: usize = 16;
/// Letters of a reason that an agent is told.
pub const APPROVAL_REASON_CHARS_MAX: usize = 500;
/// Bytes of a call's arguments that a person is shown; the answer holds for all of them.
pub const APPROVAL_ARGUMENTS_SHOWN_MAX: usize = 4096;
