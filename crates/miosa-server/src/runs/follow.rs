//! The task that follows one run's output until its end.

use std::time::Duration;

use futures_util::StreamExt;
use miosa_api::error::ErrorCode;
use miosa_api::sandbox::SandboxState;
use serde_json::json;

use super::{end, end_without_process, save};
use crate::agents::{Reader, Runner};
use crate::guest::Chunk;
use crate::store::runs::{self, Progress, RunRow};
use crate::store::sandboxes;
use crate::{ApiError, App, events};

/// Between two attempts to reach a guest agent.
const RETRY: Duration = Duration::from_secs(1);
/// Attempts in a row without an answer of a sandbox that should be running.
const ATTEMPTS_MAX: u32 = 30;

/// Follows a started run in a task of the server's.
pub(super) fn spawn(app: &App, run: RunRow) {
    let app = app.clone();
    app.clone().tasks.spawn(async move {
        let _in_use = app.activity.hold(&run.sandbox_id);
        tokio::select! {
            () = app.shutdown.cancelled() => {}
            () = follow(&app, &run) => {}
        }
    });
}

async fn follow(app: &App, run: &RunRow) {
    let mut attempts = 0;
    loop {
        match read_to_end(app, &run.id, &mut attempts).await {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, run = run.id, "a run's output broke off"),
        }
        attempts += 1;
        match lost(app, run, attempts).await {
            Ok(None) => tokio::time::sleep(RETRY).await,
            Ok(Some(why)) => match end_without_process(app, run, end::failed(&why)).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(%error, run = run.id, "a lost run could not be ended")
                }
            },
            Err(error) => {
                tracing::error!(%error, run = run.id, "a run's sandbox could not be looked up")
            }
        }
    }
    let facts = json!({ "run_id": run.id, "runner": run.runner });
    events::emit(
        app,
        &run.tenant_id,
        &run.sandbox_id,
        "sandbox.run.finished",
        facts,
    )
    .await;
}

/// Reads from the last checkpoint; true once the run has ended.
async fn read_to_end(app: &App, run_id: &str, attempts: &mut u32) -> Result<bool, ApiError> {
    let run = super::one(app, run_id).await?;
    let (false, Some(process_id)) = (run.status().is_final(), &run.process_id) else {
        return Ok(true);
    };
    let checkpoint = run.checkpoint();
    let format = Runner::parse(&run.runner)
        .unwrap_or(Runner::Custom)
        .output_format();
    let mut reader = Reader::resume(format, &checkpoint);
    let output = app
        .guest(&run.sandbox_id)
        .output(process_id, checkpoint.offset, true)
        .await?;
    let mut output = std::pin::pin!(output);
    while let Some(piece) = output.next().await {
        let (offset, chunk) = piece?;
        *attempts = 0;
        let ended = take(app, run_id, &mut reader, offset, chunk).await?;
        if ended {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn take(
    app: &App,
    run_id: &str,
    reader: &mut Reader,
    offset: u64,
    chunk: Chunk,
) -> Result<bool, ApiError> {
    let mut progress = Progress::default();
    match chunk {
        Chunk::Stdout(bytes) => {
            progress.events = reader.stdout(&bytes);
            progress.output = vec![("stdout", String::from_utf8_lossy(&bytes).into_owned())];
        }
        Chunk::Stderr(bytes) => {
            progress.events = reader.stderr(&bytes);
            progress.output = vec![("stderr", String::from_utf8_lossy(&bytes).into_owned())];
        }
        Chunk::End(exit) => {
            progress.events = reader.finish();
            let cancel_requested = super::one(app, run_id).await?.cancel_requested != 0;
            let ending = end::of_exit(exit, &reader.outcome, cancel_requested);
            progress.events.push(end::event(&ending));
            progress.ending = Some(ending);
        }
    }
    progress.checkpoint = reader.checkpoint(offset);
    save(app, run_id, &progress).await?;
    Ok(progress.ending.is_some())
}

/// Why the process will never answer again; `None` while it may.
async fn lost(app: &App, run: &RunRow, attempts: u32) -> Result<Option<String>, ApiError> {
    let state = sandboxes::get_any(&app.pool, &run.sandbox_id)
        .await?
        .map_or(SandboxState::Destroyed, |row| row.state());
    match state {
        SandboxState::Destroyed | SandboxState::Error | SandboxState::Stopped => {
            return Ok(Some(format!("the sandbox is {}", state.as_str())));
        }
        SandboxState::Paused | SandboxState::Creating => return Ok(None),
        SandboxState::Running => {}
    }
    if attempts >= ATTEMPTS_MAX {
        return Ok(Some("the sandbox's guest agent does not answer".to_owned()));
    }
    let Some(process_id) = &runs::get_any(&app.pool, &run.id)
        .await?
        .and_then(|run| run.process_id)
    else {
        return Ok(None);
    };
    match app.guest(&run.sandbox_id).process(process_id).await {
        Err(error) if error.code == ErrorCode::NotFound => Ok(Some(
            "the sandbox was started anew, and the agent's process is gone".to_owned(),
        )),
        _ => Ok(None),
    }
}
