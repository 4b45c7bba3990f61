//! A started agent and the client side of its protocol.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use miosa_api::guest::{ExecStart, Exit, Process, frame};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub const BINARY: &str = env!("CARGO_BIN_EXE_miosa-guest");
/// Longer than anything here may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// One agent; killed when dropped.
pub struct Agent {
    pub child: Child,
    pub folder: tempfile::TempDir,
}

/// The answer of a request.
pub struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Agent {
    /// An ordinary process.
    pub fn start() -> Self {
        Self::start_with("exec \"$0\" --workdir \"$1/work\" 3<&0 0</dev/null")
    }

    /// Pid 1 of a namespace of its own.
    pub fn start_as_init() -> Self {
        Self::start_with(
            "exec unshare --pid --fork --kill-child --mount-proc \"$0\" 3<&0 0</dev/null",
        )
    }

    fn start_with(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("guest.sock")).expect("a socket");
        let child = Command::new("sh")
            .args(["-c", script, BINARY])
            .arg(folder.path())
            .stdin(OwnedFd::from(listener))
            .spawn()
            .expect("sh");
        Self { child, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A text of a path inside the agent's folder.
    pub fn path_text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    pub async fn dial(&self) -> UnixStream {
        UnixStream::connect(self.path("guest.sock"))
            .await
            .expect("the agent listens")
    }

    pub async fn connection(&self) -> SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.dial().await);
        let (sender, connection) = hyper::client::conn::http1::handshake(io)
            .await
            .expect("HTTP/1.1");
        tokio::spawn(connection.with_upgrades());
        sender
    }

    /// Sends a request and returns before its body has come.
    pub async fn send(
        &self,
        method: Method,
        uri: &str,
        body: Bytes,
    ) -> Response<hyper::body::Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "guest");
        let request = request.header("content-type", "application/json");
        let request = request.body(Full::new(body)).expect("a request");
        self.connection()
            .await
            .send_request(request)
            .await
            .expect("an answer")
    }

    pub async fn request(&self, method: Method, uri: &str, body: impl Into<Bytes>) -> Answer {
        let asked = async {
            let (parts, body) = self.send(method, uri, body.into()).await.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            }
        };
        tokio::time::timeout(DEADLINE, asked)
            .await
            .expect("an answer in time")
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.request(Method::GET, uri, "").await
    }

    pub async fn post(&self, uri: &str, body: &impl Serialize) -> Answer {
        let body = serde_json::to_vec(body).expect("JSON");
        self.request(Method::POST, uri, body).await
    }

    pub async fn exec(&self, start: &ExecStart) -> Exec {
        let (mut socket, _) =
            tokio_tungstenite::client_async("ws://guest/v1/exec", self.dial().await)
                .await
                .expect("an upgrade");
        let start = serde_json::to_string(start).expect("JSON");
        socket.send(Message::text(start)).await.expect("taken");
        Exec { socket }
    }

    /// Runs text in a shell until its end.
    pub async fn shell(&self, text: &str) -> Outcome {
        self.exec(&shell(text)).await.outcome().await
    }

    /// Runs a program until its end.
    pub async fn run(&self, argv: &[&str]) -> Outcome {
        self.exec(&argv_of(argv)).await.outcome().await
    }

    pub async fn process(&self, id: &str) -> Process {
        self.get(&format!("/v1/processes/{id}")).await.json()
    }

    /// Ids of the agent's children, zombies included.
    pub fn children(&self) -> String {
        let pid = self.child.id();
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("it lives")
    }

    /// Waits for the agent itself to end.
    pub async fn wait(&mut self) -> ExitStatus {
        until("the agent ends", || {
            self.child.try_wait().expect("waitable")
        })
        .await
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    pub fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, 200, "{:?}", self.body);
        serde_json::from_slice(&self.body).expect("the documented shape")
    }

    pub fn code(&self) -> (u16, String) {
        let error: miosa_api::error::ErrorBody =
            serde_json::from_slice(&self.body).expect("an error body");
        (self.status.as_u16(), error.error.code)
    }
}

/// An attached command.
pub struct Exec {
    pub socket: WebSocketStream<UnixStream>,
}

/// What a command left.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit: Exit,
}

impl Outcome {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8").trim_end()
    }

    pub fn error(&self) -> &str {
        std::str::from_utf8(&self.stderr).expect("UTF-8").trim_end()
    }
}

impl Exec {
    pub async fn send(&mut self, kind: u8, payload: &[u8]) {
        let mut message = vec![kind];
        message.extend(payload);
        self.socket
            .send(Message::binary(message))
            .await
            .expect("taken");
    }

    /// The next frame; `None` for the message that says that it started.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            let message = tokio::time::timeout(DEADLINE, self.socket.next()).await;
            match message
                .expect("a message in time")
                .expect("not closed")
                .expect("a frame")
            {
                Message::Binary(bytes) => return Some((bytes[0], bytes[1..].to_vec())),
                Message::Text(_) => return None,
                _ => {}
            }
        }
    }

    /// Reads until standard output has this text.
    pub async fn read_until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            if let Some((frame::STDOUT, payload)) = self.next().await {
                seen.push_str(&String::from_utf8_lossy(&payload));
            }
        }
        seen
    }

    pub async fn outcome(mut self) -> Outcome {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            let Some((kind, payload)) = self.next().await else {
                continue;
            };
            match kind {
                frame::STDOUT => stdout.extend(payload),
                frame::STDERR => stderr.extend(payload),
                frame::EXIT => {
                    let exit = serde_json::from_slice(&payload).expect("an exit");
                    return Outcome {
                        stdout,
                        stderr,
                        exit,
                    };
                }
                other => panic!("frame of kind {other}"),
            }
        }
    }
}

pub fn shell(text: &str) -> ExecStart {
    ExecStart {
        shell: Some(text.to_owned()),
        ..ExecStart::default()
    }
}

pub fn argv_of(argv: &[&str]) -> ExecStart {
    let argv = argv.iter().map(|part| (*part).to_owned()).collect();
    ExecStart {
        argv,
        ..ExecStart::default()
    }
}

/// An ordinary exit.
pub fn exited(code: i32) -> Exit {
    Exit {
        code,
        signal: None,
        timed_out: false,
    }
}

/// Awaits a condition, with a deadline.
pub async fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let awaited = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tick.tick().await;
            if let Some(found) = check() {
                return found;
            }
        }
    };
    let found = tokio::time::timeout(DEADLINE, awaited).await;
    found.unwrap_or_else(|_| panic!("{what}: not in time"))
}
