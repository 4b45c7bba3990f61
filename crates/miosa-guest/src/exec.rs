//! `GET /v1/exec`: one attached command over a WebSocket.
//!
//! Three things go on at a time: the command is supervised in a task of its own; its frames are
//! written; what the caller sends is read. The caller leaving, by whatever way, hangs up.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use miosa_api::guest::{ExecStart, ExecStarted, Resize, SignalRequest, frame};
use miosa_api::limits::JSON_BODY_BYTES_MAX;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::command::{self, Input, NotStarted};
use crate::frames::Frame;
use crate::running::Running;
use crate::stream::Stream;
use crate::sys;

/// Frames of output on their way to the caller; above it the command waits.
const OUTPUT_FRAMES: usize = 8;
/// Frames of input on their way to the command; above it the caller waits.
const INPUT_FRAMES: usize = 32;
/// A caller that is gone while nothing moves is found out by writing to it this often.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Upgrades and serves.
pub async fn attach(State(agent): State<Arc<Agent>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(JSON_BODY_BYTES_MAX)
        .max_frame_size(JSON_BODY_BYTES_MAX)
        .on_upgrade(move |socket| async move {
            // An error means that the caller is gone; there is nobody to tell.
            let _ = session(&agent, socket).await;
        })
}

async fn session(agent: &Agent, mut socket: WebSocket) -> Result<(), axum::Error> {
    let running = match first(&mut socket).await {
        Some(Ok(start)) => command::start(agent, &start, Input::Caller),
        Some(Err(refused)) => Err(refused),
        None => return Ok(()),
    };
    let mut running = match running {
        Ok(running) => running,
        Err(refused) => return refuse(socket, &refused).await,
    };
    let started = ExecStarted { pid: running.pid };
    let started = serde_json::to_string(&started).expect("a number serialises");
    // From here on every way out hangs up; after the command's end that means nothing.
    let hangup = CancellationToken::new();
    let _hangup = hangup.clone().drop_guard();
    let (mut sink, messages) = socket.split();
    let (out, frames) = mpsc::channel(OUTPUT_FRAMES);
    let input = Incoming::of(&mut running);
    let supervised = tokio::spawn(running.supervise(out, hangup));
    sink.send(Message::text(started)).await?;
    tokio::select! {
        written = write_frames(&mut sink, frames) => written?,
        () = input.read_from(messages) => return Ok(()),
    }
    let exit = supervised.await.map_err(axum::Error::new)?;
    sink.send(Message::Binary(Frame::exit(exit).message()))
        .await?;
    sink.close().await
}

/// The first message.
async fn first(socket: &mut WebSocket) -> Option<Result<ExecStart, NotStarted>> {
    loop {
        let text = match socket.recv().await? {
            Ok(Message::Text(text)) => Bytes::from(text),
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Close(_)) | Err(_) => return None,
        };
        let start = serde_json::from_slice(&text);
        return Some(start.map_err(|error| NotStarted::refused(format!("request: {error}"))));
    }
}

async fn refuse(mut socket: WebSocket, refused: &NotStarted) -> Result<(), axum::Error> {
    let (message, exit) = refused.outcome();
    socket.send(Message::Binary(message.message())).await?;
    socket
        .send(Message::Binary(Frame::exit(exit).message()))
        .await?;
    socket.send(Message::Close(None)).await
}

/// Writes output until there is no more.
async fn write_frames(
    sink: &mut SplitSink<WebSocket, Message>,
    mut frames: mpsc::Receiver<Frame>,
) -> Result<(), axum::Error> {
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.reset();
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => sink.send(Message::Binary(frame.message())).await?,
                None => return Ok(()),
            },
            _ = ping.tick() => sink.send(Message::Ping(Bytes::new())).await?,
        }
    }
}

/// Where the caller's frames go.
struct Incoming {
    group: i32,
    terminal: Option<Stream>,
    stdin: Option<Stream>,
}

impl Incoming {
    /// Takes the input over, unless the request brought it: the last holder closes it.
    fn of(running: &mut Running) -> Self {
        let stdin = if running.given.is_none() {
            running.stdin.take()
        } else {
            None
        };
        Self {
            group: running.pid,
            terminal: running.terminal.clone(),
            stdin,
        }
    }

    /// Obeys the caller until it leaves or breaks the protocol.
    async fn read_from(self, messages: SplitStream<WebSocket>) {
        let Self {
            group,
            terminal,
            stdin,
        } = self;
        let (pieces, queue) = mpsc::channel(INPUT_FRAMES);
        let written = async {
            if let Some(stdin) = stdin {
                write_input(stdin, queue).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = obey(messages, group, terminal, pieces) => {}
            () = written => {}
        }
    }
}

async fn obey(
    mut messages: SplitStream<WebSocket>,
    group: i32,
    terminal: Option<Stream>,
    pieces: mpsc::Sender<Bytes>,
) {
    while let Some(Ok(message)) = messages.next().await {
        let mut bytes = match message {
            Message::Binary(bytes) if !bytes.is_empty() => bytes,
            Message::Ping(_) | Message::Pong(_) => continue,
            _ => return,
        };
        let payload = bytes.split_off(1);
        match bytes[0] {
            // Nobody takes it once the command has closed its input: dropped, as a pipe would.
            frame::STDIN => drop(pieces.send(payload).await),
            frame::RESIZE => {
                let Some(size) = parse::<Resize>(&payload) else {
                    return;
                };
                if let Some(terminal) = &terminal {
                    // A terminal that is gone needs no size.
                    let _ = terminal.resize(size);
                }
            }
            frame::SIGNAL => match parse::<SignalRequest>(&payload) {
                Some(SignalRequest {
                    signal: signal @ 1..=sys::SIGNAL_MAX,
                }) => {
                    sys::signal_group(group, signal);
                }
                _ => return,
            },
            _ => return,
        }
    }
}

/// Writes pieces until an empty one, which closes the input.
async fn write_input(stdin: Stream, mut queue: mpsc::Receiver<Bytes>) {
    while let Some(piece) = queue.recv().await {
        if piece.is_empty() {
            let _ = stdin.end_input().await;
            return;
        }
        if stdin.write_all(&piece).await.is_err() {
            return;
        }
    }
}

fn parse<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}
