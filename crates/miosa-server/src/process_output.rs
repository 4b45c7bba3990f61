//! Output of detached commands as lines: the last ones, or as they come.

use async_stream::stream;
use axum::response::sse::Event;
use futures_util::{Stream, StreamExt};
use serde_json::json;

use crate::guest::{Chunk, Guest};
use crate::http::lines::Lines;
use crate::http::sse;
use crate::{ApiError, App};

/// Lines of an answer without a `tail`.
const TAIL_DEFAULT: usize = 200;
const TAIL_MAX: usize = 10_000;

/// The last lines of a command's output, both streams in order of arrival.
pub(crate) async fn tail(
    guest: &Guest,
    process_id: &str,
    count: Option<usize>,
) -> Result<Vec<String>, ApiError> {
    let count = count.unwrap_or(TAIL_DEFAULT).min(TAIL_MAX);
    let mut output = std::pin::pin!(guest.output(process_id, 0, false).await?);
    let (mut out, mut err) = (Lines::default(), Lines::default());
    let mut lines = std::collections::VecDeque::new();
    let mut add = |found: Vec<String>| {
        lines.extend(found);
        while lines.len() > count {
            lines.pop_front();
        }
    };
    while let Some(piece) = output.next().await {
        match piece?.1 {
            Chunk::Stdout(bytes) => add(out.push(&bytes)),
            Chunk::Stderr(bytes) => add(err.push(&bytes)),
            Chunk::End(_) => break,
        }
    }
    add(out.rest().into_iter().chain(err.rest()).collect());
    Ok(lines.into())
}

/// A command's output as events with a `line` each, then `exit`.
pub(crate) async fn follow(
    app: App,
    sandbox_id: String,
    process_id: String,
) -> Result<impl Stream<Item = Event> + Send, ApiError> {
    let output = app.guest(&sandbox_id).output(&process_id, 0, true).await?;
    Ok(stream! {
        let _in_use = app.activity.hold(&sandbox_id);
        let mut output = std::pin::pin!(output);
        let (mut out, mut err) = (Lines::default(), Lines::default());
        while let Some(piece) = output.next().await {
            let (stream, lines) = match piece {
                Ok((_, Chunk::Stdout(bytes))) => ("stdout", out.push(&bytes)),
                Ok((_, Chunk::Stderr(bytes))) => ("stderr", err.push(&bytes)),
                Ok((_, Chunk::End(exit))) => {
                    for line in out.rest().into_iter().chain(err.rest()) {
                        yield sse::event("log", &json!({ "line": line }));
                    }
                    yield sse::event("exit", &json!({ "exit_code": exit.code }));
                    return;
                }
                Err(_) => return,
            };
            for line in lines {
                yield sse::event("log", &json!({ "line": line, "stream": stream }));
            }
        }
    })
}
