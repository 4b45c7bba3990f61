//! Routes of detached commands.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Json, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use futures_util::stream;
use miosa_api::error::ErrorCode;
use miosa_api::guest::{ExecStart, OFFSET_HEADER, Process, SignalRequest};
use serde::Deserialize;

use super::Detached;
use crate::agent::Agent;
use crate::failure::Failure;
use crate::frames::Frame;
use crate::router::Parameters;
use crate::sys;

/// Everything below `/v1/processes`.
pub fn routes() -> Router<Arc<Agent>> {
    Router::new()
        .route("/v1/processes", post(start).get(list))
        .route("/v1/processes/{id}", get(one))
        .route("/v1/processes/{id}/output", get(output))
        .route("/v1/processes/{id}/signal", post(signal))
}

async fn start(
    State(agent): State<Arc<Agent>>,
    body: Result<Json<ExecStart>, JsonRejection>,
) -> Result<Json<Process>, Failure> {
    let Json(start) = body?;
    let detached = agent.processes.start(&agent, &start)?;
    Ok(Json(detached.describe()))
}

async fn list(State(agent): State<Arc<Agent>>) -> Json<Vec<Process>> {
    Json(agent.processes.list())
}

async fn one(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
) -> Result<Json<Process>, Failure> {
    Ok(Json(find(&agent, &id)?.describe()))
}

async fn signal(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    body: Result<Json<SignalRequest>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    let Json(SignalRequest { signal }) = body?;
    let detached = find(&agent, &id)?;
    if !(1..=sys::SIGNAL_MAX).contains(&signal) {
        return Err(Failure::bad_request(format!("{signal} is not a signal")));
    }
    // Also after its end: others of its group may live on.
    if detached.pid > 1 {
        sys::signal_group(detached.pid, signal);
    }
    Ok(StatusCode::NO_CONTENT)
}

fn find(agent: &Agent, id: &str) -> Result<Arc<Detached>, Failure> {
    let found = agent.processes.get(id);
    found.ok_or_else(|| Failure::new(ErrorCode::NotFound, format!("{id}: no such process")))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Output {
    offset: u64,
    follow: bool,
}

async fn output(
    State(agent): State<Arc<Agent>>,
    Path(id): Path<String>,
    Parameters(Query(wanted)): Parameters<Output>,
) -> Result<Response, Failure> {
    let detached = find(&agent, &id)?;
    let offset = detached.record.borrow().log.first_from(wanted.offset);
    let reader = Reader {
        detached,
        offset,
        follow: wanted.follow,
        done: false,
    };
    let frames = stream::unfold(reader, Reader::next);
    Ok((
        [(OFFSET_HEADER, offset.to_string())],
        Body::from_stream(frames),
    )
        .into_response())
}

/// Somebody who reads the output of one command.
struct Reader {
    detached: Arc<Detached>,
    offset: u64,
    follow: bool,
    done: bool,
}

impl Reader {
    /// What comes next: frames of the log, then the exit. A reader so slow that its next frame was
    /// dropped meanwhile is cut off without an exit frame; it may ask again from its offset.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut changes = self.detached.record.subscribe();
        while !self.done {
            let (frames, exit) = {
                let record = changes.borrow_and_update();
                (record.log.frames_from(self.offset)?, record.exit)
            };
            if !frames.is_empty() {
                self.offset += frames.len() as u64;
                return Some((Ok(frames), self));
            }
            if let Some(exit) = exit {
                self.done = true;
                return Some((Ok(Frame::exit(exit).logged()), self));
            }
            if !self.follow || changes.changed().await.is_err() {
                return None;
            }
        }
        None
    }
}
