//! One attached command over a WebSocket: start, stream, end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use miosa_api::guest::{ExecStart, ExecStarted, Exit, SignalRequest, frame};
use miosa_api::limits::EXEC_OUTPUT_BYTES_MAX;
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::{Guest, agent_failed, unavailable};
use crate::{ApiError, unix};

const START_TIMEOUT: Duration = Duration::from_secs(15);
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A running attached command.
#[derive(Debug)]
pub struct Attached {
    stream: WebSocketStream<UnixStream>,
}

/// What comes of it, in order; `End` is last.
#[derive(Debug)]
pub enum Chunk {
    /// Standard output.
    Stdout(bytes::Bytes),
    /// Standard error.
    Stderr(bytes::Bytes),
    /// It ended.
    End(Exit),
}

/// A command that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Standard output, cut at the limit.
    pub stdout: Vec<u8>,
    /// Standard error, cut at the limit.
    pub stderr: Vec<u8>,
    /// Whether something was cut.
    pub truncated: bool,
    /// How it ended.
    pub exit: Exit,
}

impl Guest {
    /// Starts a command and stays with it. Dropping the answer ends the command.
    pub async fn attach(&self, start: &ExecStart) -> Result<Attached, ApiError> {
        let socket = unix::connect(&self.socket).await.map_err(unavailable)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let handshake =
            tokio_tungstenite::client_async_with_config("ws://guest/v1/exec", socket, Some(config));
        let (mut stream, _) = within(handshake).await?.map_err(agent_failed)?;
        let text = serde_json::to_string(start).map_err(ApiError::internal)?;
        within(stream.send(Message::text(text)))
            .await?
            .map_err(agent_failed)?;
        Ok(Attached { stream })
    }

    /// Runs a command to its end and keeps its output up to the limit.
    pub async fn exec(&self, start: &ExecStart) -> Result<Finished, ApiError> {
        let mut attached = self.attach(start).await?;
        let mut done = Finished {
            stdout: Vec::new(),
            stderr: Vec::new(),
            truncated: false,
            exit: Exit {
                code: 0,
                signal: None,
                timed_out: false,
            },
        };
        loop {
            match attached.next().await? {
                Chunk::Stdout(bytes) => done.truncated |= keep(&mut done.stdout, &bytes),
                Chunk::Stderr(bytes) => done.truncated |= keep(&mut done.stderr, &bytes),
                Chunk::End(exit) => {
                    done.exit = exit;
                    return Ok(done);
                }
            }
        }
    }
}

impl Attached {
    /// The next piece. After [`Chunk::End`] nothing comes.
    pub async fn next(&mut self) -> Result<Chunk, ApiError> {
        loop {
            let message = self
                .stream
                .next()
                .await
                .ok_or_else(|| agent_failed("it broke off before the end"))?;
            match message.map_err(agent_failed)? {
                Message::Binary(bytes) => return chunk(bytes),
                Message::Text(text) => {
                    serde_json::from_str::<ExecStarted>(&text).map_err(agent_failed)?;
                }
                Message::Close(_) => return Err(agent_failed("it closed before the end")),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Sends a signal to the command's process group.
    pub async fn signal(&mut self, signal: i32) -> Result<(), ApiError> {
        let mut bytes = vec![frame::SIGNAL];
        bytes.extend(serde_json::to_vec(&SignalRequest { signal }).map_err(ApiError::internal)?);
        within(self.stream.send(Message::binary(bytes)))
            .await?
            .map_err(agent_failed)
    }
}

pub(super) fn chunk(mut bytes: bytes::Bytes) -> Result<Chunk, ApiError> {
    if bytes.is_empty() {
        return Err(agent_failed("an empty frame"));
    }
    let payload = bytes.split_off(1);
    match bytes[0] {
        frame::STDOUT => Ok(Chunk::Stdout(payload)),
        frame::STDERR => Ok(Chunk::Stderr(payload)),
        frame::EXIT => serde_json::from_slice(&payload)
            .map(Chunk::End)
            .map_err(agent_failed),
        kind => Err(agent_failed(format!("a frame of unknown kind {kind}"))),
    }
}

/// Appends up to the limit; whether something was left off.
fn keep(kept: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let room = EXEC_OUTPUT_BYTES_MAX - kept.len();
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    bytes.len() > room
}

async fn within<T>(step: impl Future<Output = T>) -> Result<T, ApiError> {
    tokio::time::timeout(START_TIMEOUT, step)
        .await
        .map_err(|_| agent_failed("no answer in time"))
}
