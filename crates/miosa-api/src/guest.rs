//! The guest protocol: HTTP/1.1 between the host and the guest agent of one sandbox.
//!
//! The agent is pid 1 of the sandbox and serves on a listening Unix socket it inherits as file
//! descriptor [`LISTEN_FD`]. The host always dials; the agent never does. Everything the agent
//! answers is hostile input for the host: sizes are bounded, paths in answers are never followed.
//!
//! | route | what |
//! |---|---|
//! | `GET /v1/health` | [`Health`] |
//! | `GET /v1/exec` (WebSocket) | one attached command, see [`ExecStart`] and [`frame`] |
//! | `POST /v1/processes` | start a detached command: [`ExecStart`] → [`Process`] |
//! | `GET /v1/processes`, `GET /v1/processes/{id}` | [`Process`] list, one |
//! | `GET /v1/processes/{id}/output?offset=&follow=` | [`frame`]s, each `[kind u8][len u32 BE][payload]`, then an exit frame once ended |
//! | `POST /v1/processes/{id}/signal` | [`SignalRequest`] to its process group |
//! | `GET /v1/files?path=&depth=` | [`crate::file::Listing`] |
//! | `GET /v1/files/stat?path=` | [`crate::file::FileEntry`] |
//! | `GET /v1/files/content?path=` | raw bytes |
//! | `PUT /v1/files/content?path=&mode=` | raw bytes in, written beside and renamed; folders made → [`crate::file::Written`] |
//! | `DELETE /v1/files?path=&recursive=` | 204 |
//! | `GET /v1/ports` | [`Port`] list of listening TCP sockets |
//! | `GET /v1/ports/{port}/connect` (Upgrade: `miosa-raw`) | 101, then bytes to and from `127.0.0.1:port` (`[::1]` if that refuses) |
//! | `POST /v1/shutdown` | SIGTERM to all, SIGKILL after [`Shutdown::grace_ms`], then exit |
//!
//! A detached command that could not be started is a [`Process`] with pid 0 that has ended with 126
//! or 127 and has a message in its output.
//!
//! `…/output` begins with the first whole frame kept at or after `offset`; the answer's header
//! [`OFFSET_HEADER`] says where that is. The exit frame follows the last byte and is not counted in
//! offsets. With `follow=true` the answer goes on until the exit frame. One that ends without it,
//! followed or not, may be asked for again from the offset reached (a follower too slow for the
//! ring is cut off so).
//!
//! Errors are [`crate::error::ErrorBody`] with codes `INVALID_PATH`, `FILE_NOT_FOUND`, `DISK_FULL`,
//! `BAD_REQUEST`, `TOO_LARGE`, `NOT_FOUND`, `PREVIEW_NOT_LISTENING`, `INTERNAL`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// File descriptor of the agent's listening socket.
pub const LISTEN_FD: i32 = 3;
/// Value of the `Upgrade` header for a raw relay to a port.
pub const RAW_UPGRADE: &str = "miosa-raw";
/// Header of `…/output`: the absolute offset of the answer's first byte.
pub const OFFSET_HEADER: &str = "miosa-offset";
/// Where the host mounts the agent's own binary, read-only.
pub const GUEST_PATH: &str = "/.miosa/guest";
/// Where the host mounts the merged trust bundle, read-only (also over the system's own).
pub const CA_BUNDLE_PATH: &str = "/.miosa/ca-bundle.pem";
/// Where the host mounts the sandbox's own CA certificate alone, read-only.
pub const CA_PATH: &str = "/.miosa/ca.pem";

/// Kinds of frames of an exec: first byte of a binary WebSocket message, or of a frame of
/// `…/output`. An unknown kind is an error.
pub mod frame {
    /// Host to guest: bytes for standard input; an empty payload closes it.
    pub const STDIN: u8 = 0;
    /// Guest to host: bytes of standard output (of the terminal, with a tty).
    pub const STDOUT: u8 = 1;
    /// Guest to host: bytes of standard error.
    pub const STDERR: u8 = 2;
    /// Host to guest: JSON [`super::Resize`].
    pub const RESIZE: u8 = 3;
    /// Host to guest: JSON [`super::SignalRequest`].
    pub const SIGNAL: u8 = 4;
    /// Guest to host, last: JSON [`super::Exit`].
    pub const EXIT: u8 = 5;
}

/// What the agent and the server say to each other, as a number: raised when a server can no longer rely on
/// an agent that speaks an older one.
pub const PROTOCOL: u32 = 1;
/// Oldest agent that a server trusts with placeholders; without its number an agent counts as 0.
pub const PROTOCOL_MIN: u32 = 1;
/// Left by what starts the agent when the SSH host keys were another sandbox's and are gone.
pub const RENEW_SSH_KEYS: &str = "/.miosa/renew-ssh-keys";

/// Answer of `/v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Version of the agent.
    pub version: String,
    /// What it speaks; see [`PROTOCOL`].
    #[serde(default)]
    pub protocol: u32,
    /// Seconds since 1970 by the guest's clock.
    pub now: i64,
}

/// What to run. First (text) message on `/v1/exec`, body of `POST /v1/processes`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecStart {
    /// Program and arguments; wins over `shell`.
    pub argv: Vec<String>,
    /// Text for a shell: `bash -c` where bash exists, else `sh -c`; of any length and lines. Not a
    /// login shell: Debian's `/etc/profile` would overwrite the `PATH` of `env`.
    pub shell: Option<String>,
    /// Absolute working directory.
    pub cwd: Option<String>,
    /// The whole environment (the host sends the sandbox's variables with every command).
    /// `PATH`, `HOME`, `USER`, `LANG` (and `TERM`, with a tty) get defaults when absent.
    pub env: BTreeMap<String, String>,
    /// User name or numeric id; root when absent.
    pub user: Option<String>,
    /// A terminal instead of pipes, with this size.
    pub tty: Option<Resize>,
    /// Bytes for standard input, base64, after which it is closed. Without it an attached command
    /// takes [`frame::STDIN`], and a detached one reads end of file.
    pub stdin_base64: Option<String>,
    /// Milliseconds until the process group gets SIGTERM, and 2 s later SIGKILL.
    pub timeout_ms: Option<u64>,
    /// A name, for detached commands.
    pub name: Option<String>,
}

/// First (text) message back on `/v1/exec` when the command has started. One that could not be
/// started gets an [`Exit`] frame with code 126 or 127 and a message on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecStarted {
    /// Process id as seen inside.
    pub pid: i32,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// A signal for the process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalRequest {
    /// Its number.
    pub signal: i32,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status; 128 + signal when killed; 124 when the timeout ended it.
    pub code: i32,
    /// The signal, if one ended it.
    pub signal: Option<i32>,
    /// Whether the timeout ended it.
    pub timed_out: bool,
}

/// A detached command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Id within the sandbox: `p` and a number.
    pub id: String,
    /// Process id; 0 when it could not be started.
    pub pid: i32,
    /// Its name.
    pub name: Option<String>,
    /// Program and arguments, or the shell's text; at most the first
    /// [`crate::limits::PROCESS_COMMAND_BYTES_MAX`] bytes.
    pub command: String,
    /// Seconds since 1970.
    pub started_at: i64,
    /// How it ended, once it has.
    pub exit: Option<Exit>,
    /// Bytes of framed output produced so far (the end offset of `…/output`).
    pub output_bytes: u64,
}

/// A listening TCP socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Port {
    /// `tcp`.
    pub protocol: String,
    /// `LISTEN`.
    pub state: String,
    /// Address it is bound to.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Who listens, where it could be found.
    pub process: Option<PortProcess>,
}

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PortProcess {
    /// Name of the program.
    pub name: String,
    /// Process id.
    pub pid: i32,
}

/// Body of `/v1/shutdown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    /// Milliseconds between SIGTERM and SIGKILL.
    pub grace_ms: u64,
}
