//! Runs: an agent working on an instruction inside a sandbox.
//!
//! The agent is a detached process of the guest; a task of ours follows its output by offset. What was
//! read and how far is stored in one transaction, so that the next server goes on at the same byte.

mod create;
mod end;
mod files;
mod follow;

use std::time::Duration;

use async_stream::stream;
use futures_util::Stream;
use miosa_api::run::RunEvent;
use tokio::sync::broadcast;

pub use create::{Accepted, accept, start};
pub use end::{cancel, stop_all};
pub use files::changed;

use crate::store::runs::{self, Ending, Kept, Progress, RunRow};
use crate::{ApiError, App};

/// What is kept of one run.
const KEPT: Kept = Kept {
    events_max: miosa_api::limits::RUN_EVENTS_MAX,
    pieces_max: miosa_api::limits::RUN_OUTPUT_PIECES_MAX,
};
const BACKLOG: usize = 256;
const READ_ROWS: i64 = 500;

/// Tells waiting callers that a run has something new.
#[derive(Debug)]
pub struct Runs {
    /// Ids of runs.
    news: broadcast::Sender<String>,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            news: broadcast::Sender::new(BACKLOG),
        }
    }
}

impl Runs {
    fn tell(&self, run_id: &str) {
        // Nobody may be listening.
        let _ = self.news.send(run_id.to_owned());
    }
}

/// Stores progress and tells it.
async fn save(app: &App, run_id: &str, progress: &Progress) -> Result<(), ApiError> {
    runs::save(&app.pool, run_id, progress, KEPT).await?;
    app.runs.tell(run_id);
    Ok(())
}

/// Ends a run that has no process to speak of.
async fn end_without_process(app: &App, run: &RunRow, ending: Ending) -> Result<(), ApiError> {
    let progress = Progress {
        events: vec![end::event(&ending)],
        checkpoint: run.checkpoint(),
        ending: Some(ending),
        ..Progress::default()
    };
    save(app, &run.id, &progress).await
}

/// Waits for the end, at most `patience`; the run as it then is.
pub async fn wait(app: &App, run_id: &str, patience: Duration) -> Result<RunRow, ApiError> {
    let mut news = app.runs.news.subscribe();
    let ended = async {
        loop {
            let run = one(app, run_id).await?;
            if run.status().is_final() || !heard(app, &mut news, run_id).await {
                return Ok(run);
            }
        }
    };
    match tokio::time::timeout(patience, ended).await {
        Ok(run) => run,
        Err(_) => one(app, run_id).await,
    }
}

async fn one(app: &App, run_id: &str) -> Result<RunRow, ApiError> {
    runs::get_any(&app.pool, run_id)
        .await?
        .ok_or_else(|| ApiError::not_found("run", run_id))
}

/// Waits for news of a run; false when the server ends.
async fn heard(app: &App, news: &mut broadcast::Receiver<String>, run_id: &str) -> bool {
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return false,
            told = news.recv() => match told {
                Ok(id) if id != run_id => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return true,
                Err(broadcast::error::RecvError::Closed) => return false,
            }
        }
    }
}

/// Events after an id, until the run has ended.
pub fn events(app: App, run_id: String, after: i64) -> impl Stream<Item = RunEvent> + Send {
    stream! {
        let mut news = app.runs.news.subscribe();
        let mut last = after;
        loop {
            // The status is read first: what happened before the end is in the events read after it.
            let ended = match one(&app, &run_id).await {
                Ok(run) => run.status().is_final(),
                Err(_) => true,
            };
            let Ok(events) = runs::events_after(&app.pool, &run_id, last, READ_ROWS).await else { return };
            let none = events.is_empty();
            for event in events {
                last = event.id;
                yield event;
            }
            if none && (ended || !heard(&app, &mut news, &run_id).await) {
                return;
            }
        }
    }
}

/// Takes up runs that were under way when the server ended. Called once at start.
pub async fn resume(app: &App) {
    let rows = match runs::unfinished(&app.pool).await {
        Ok(rows) => rows,
        Err(error) => {
            tracing::error!(%error, "runs under way could not be read");
            return;
        }
    };
    for run in rows {
        if run.process_id.is_some() {
            follow::spawn(app, run);
        } else if let Err(error) = end_without_process(
            app,
            &run,
            end::failed("the server ended before the agent started"),
        )
        .await
        {
            tracing::error!(%error, run = run.id, "a run could not be ended");
        }
    }
}
