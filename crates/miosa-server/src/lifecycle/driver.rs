//! One task per sandbox, alone changing its state.
//!
//! Orders wait in a bounded queue and are done one after the other, each to its end, whether or not
//! the caller still listens. A `Destroy` does not wait for a start: it gives the start up first.

use std::collections::HashMap;
use std::sync::Mutex;

use miosa_api::error::ErrorCode;
use miosa_api::id::SandboxId;
use miosa_api::sandbox::SandboxState;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::boot;
use super::state::{Effect, Event, next};
use crate::clock::now_ms;
use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, connectors, events, policy, snapshots, store};

const QUEUE: usize = 32;

/// Why an event happens, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A caller asked.
    Request,
    /// Its lifetime is over.
    Timeout,
    /// Nobody used it.
    Idle,
    /// Its guest agent ended; why, and of which start.
    Exit {
        /// The runtime's words.
        why: String,
        /// Start it belongs to; another one is no news.
        generation: i64,
    },
}

impl Cause {
    fn as_json(&self) -> Value {
        match self {
            Self::Request => json!({ "cause": "request" }),
            Self::Timeout => json!({ "cause": "timeout" }),
            Self::Idle => json!({ "cause": "idle" }),
            Self::Exit { why, .. } => json!({ "cause": "exit", "reason": why }),
        }
    }
}

/// What a driver is told to do.
enum Work {
    /// Make an event happen.
    Event(Event, Cause),
    /// Take the snapshot of this row.
    Snapshot(String),
    /// Go back to this snapshot, and start.
    Restore(String),
}

struct Order {
    work: Work,
    reply: oneshot::Sender<Result<SandboxRow, ApiError>>,
}

#[derive(Clone)]
struct Handle {
    queue: mpsc::Sender<Order>,
    give_up: CancellationToken,
}

/// All drivers that run.
#[derive(Default)]
pub struct Drivers(Mutex<HashMap<String, Handle>>);

/// Makes an event happen to a sandbox; the row as it is afterwards.
pub async fn order(
    app: &App,
    id: &str,
    event: Event,
    cause: Cause,
) -> Result<SandboxRow, ApiError> {
    let handle = handle(app, id);
    if event == Event::Destroy {
        handle.give_up.cancel();
    }
    send(&handle, Work::Event(event, cause)).await
}

/// Takes the snapshot of a row that is being made, between two events.
pub async fn snapshot(app: &App, id: &str, snapshot_id: &str) -> Result<SandboxRow, ApiError> {
    send(&handle(app, id), Work::Snapshot(snapshot_id.to_owned())).await
}

/// Gives a sandbox the files of one of its snapshots and starts it; the row as it is afterwards.
pub async fn restore(app: &App, id: &str, snapshot_id: &str) -> Result<SandboxRow, ApiError> {
    send(&handle(app, id), Work::Restore(snapshot_id.to_owned())).await
}

async fn send(handle: &Handle, work: Work) -> Result<SandboxRow, ApiError> {
    let (reply, answer) = oneshot::channel();
    let ended = || ApiError::new(ErrorCode::AgentUnavailable, "the server is ending");
    handle
        .queue
        .send(Order { work, reply })
        .await
        .map_err(|_| ended())?;
    answer.await.map_err(|_| ended())?
}

fn handle(app: &App, id: &str) -> Handle {
    let mut running = app
        .drivers
        .0
        .lock()
        .expect("no panic while the lock is held");
    if let Some(handle) = running.get(id).filter(|handle| !handle.queue.is_closed()) {
        return handle.clone();
    }
    let (queue, orders) = mpsc::channel(QUEUE);
    let handle = Handle {
        queue,
        give_up: CancellationToken::new(),
    };
    running.insert(id.to_owned(), handle.clone());
    app.tasks.spawn(drive(
        app.clone(),
        id.to_owned(),
        orders,
        handle.give_up.clone(),
    ));
    handle
}

async fn drive(
    app: App,
    id: String,
    mut orders: mpsc::Receiver<Order>,
    give_up: CancellationToken,
) {
    loop {
        let order = tokio::select! {
            () = app.shutdown.cancelled() => break,
            order = orders.recv() => match order {
                Some(order) => order,
                None => break,
            }
        };
        let outcome = match &order.work {
            Work::Event(event, cause) => perform(&app, &id, *event, cause, &give_up).await,
            Work::Snapshot(snapshot) => snapshots::take_now(&app, &id, snapshot).await,
            Work::Restore(snapshot) => go_back(&app, &id, snapshot, &give_up).await,
        };
        if let Err(error) = &outcome {
            tracing::info!(sandbox = id, %error, "not done");
        }
        let gone = outcome
            .as_ref()
            .is_ok_and(|row| row.state() == SandboxState::Destroyed);
        // The caller may have gone away; the order is done all the same.
        let _ = order.reply.send(outcome);
        if gone {
            break;
        }
    }
    drop(orders);
    app.drivers
        .0
        .lock()
        .expect("no panic while the lock is held")
        .retain(|_, handle| !handle.queue.is_closed());
}

async fn perform(
    app: &App,
    id: &str,
    event: Event,
    cause: &Cause,
    give_up: &CancellationToken,
) -> Result<SandboxRow, ApiError> {
    let mut row = sandboxes::get_any(&app.pool, id)
        .await?
        .ok_or_else(|| ApiError::not_found("sandbox", id))?;
    if let Cause::Exit { generation, .. } = cause
        && *generation != row.generation
    {
        return Ok(row);
    }
    let before = row.state();
    let step = next(before, event).map_err(|code| refused(code, &row))?;
    if step.effect == Effect::Boot {
        return start(app, row, cause, give_up).await;
    }
    if step.next == before && step.effect == Effect::None {
        return Ok(row);
    }
    if step.effect.is_announced() {
        policy::ending(&row.id);
        if let Err(error) = enter(app, &mut row, step.next, cause).await {
            policy::goes_on(&row.id);
            return Err(error);
        }
        let acted = act(app, &row, step.effect).await;
        if step.effect == Effect::Halt || acted.is_err() {
            policy::ended(app, &row.id).await;
        }
        acted?;
    } else {
        act(app, &row, step.effect).await?;
        enter(app, &mut row, step.next, cause).await?;
    }
    Ok(row)
}

/// Stop, another disk, start: a server that dies in between leaves it stopped, with the old disk or the new.
async fn go_back(
    app: &App,
    id: &str,
    snapshot: &str,
    give_up: &CancellationToken,
) -> Result<SandboxRow, ApiError> {
    let cause = Cause::Request;
    let row = perform(app, id, Event::Stop, &cause, give_up).await?;
    snapshots::restore(app, &row, snapshot).await?;
    perform(app, id, Event::Resume, &cause, give_up).await
}

async fn start(
    app: &App,
    mut row: SandboxRow,
    cause: &Cause,
    give_up: &CancellationToken,
) -> Result<SandboxRow, ApiError> {
    row.generation += 1;
    row.boot_ms = None;
    enter(app, &mut row, SandboxState::Creating, cause).await?;
    let since = std::time::Instant::now();
    let outcome = tokio::select! {
        outcome = boot::boot(app, &row) => outcome,
        () = give_up.cancelled() => Err(ApiError::new(ErrorCode::SandboxStartFailed, "it was deleted while it started")),
    };
    // A caller may have changed its settings meanwhile.
    if let Ok(Some(fresh)) = sandboxes::get_any(&app.pool, &row.id).await {
        row = fresh;
    }
    match outcome {
        Ok(()) => {
            row.boot_ms = i64::try_from(since.elapsed().as_millis()).ok();
            let step =
                next(SandboxState::Creating, Event::Booted).map_err(|code| refused(code, &row))?;
            enter(app, &mut row, step.next, cause).await?;
            watch(app, &row);
            boot::start_application(app, &row).await;
            Ok(row)
        }
        Err(error) => {
            boot::clean_up(app, &row).await;
            set_last_error(&mut row, &error.to_string());
            free_name(app, &mut row).await?;
            enter(app, &mut row, SandboxState::Error, cause).await?;
            Err(failed_start(error, &row))
        }
    }
}

/// Lets a sandbox that never ran give its name back, so that the same request can be sent again.
pub(super) async fn free_name(app: &App, row: &mut SandboxRow) -> Result<(), ApiError> {
    if row.generation <= 1 && row.name.take().is_some() {
        sandboxes::save_settings(&app.pool, row).await?;
    }
    Ok(())
}

/// Writes the state with everything that depends on it, and tells it.
async fn enter(
    app: &App,
    row: &mut SandboxRow,
    state: SandboxState,
    cause: &Cause,
) -> Result<(), ApiError> {
    let now = now_ms();
    let before = row.state();
    if before == SandboxState::Running && state != SandboxState::Running {
        row.runtime_ms += now - row.started_at.unwrap_or(now);
    }
    match state {
        SandboxState::Running => {
            row.started_at = Some(now);
            row.ready_at = row.ready_at.or(Some(now));
            row.expires_at = Some(now + row.timeout_sec * 1000);
            row.last_active_at = now;
            app.activity.touch(&row.id);
            clear_last_error(row);
        }
        SandboxState::Destroyed => row.destroyed_at = Some(now),
        SandboxState::Paused if row.persistent == 0 => {}
        SandboxState::Error
        | SandboxState::Paused
        | SandboxState::Stopped
        | SandboxState::Creating => row.expires_at = None,
    }
    if let Cause::Exit { why, .. } = cause {
        set_last_error(row, why);
    }
    state.as_str().clone_into(&mut row.state);
    sandboxes::save_life(&app.pool, row).await?;
    tracing::info!(sandbox = row.id, state = row.state, "entered");
    let kind = match (before, state) {
        (SandboxState::Paused, SandboxState::Running) => "sandbox.resumed",
        (_, SandboxState::Running) => "sandbox.started",
        (_, SandboxState::Creating) => "sandbox.starting",
        (_, SandboxState::Paused) => "sandbox.paused",
        (_, SandboxState::Stopped) => "sandbox.stopped",
        (_, SandboxState::Error) => "sandbox.error",
        (_, SandboxState::Destroyed) => "sandbox.destroyed",
    };
    events::emit(app, &row.tenant_id, &row.id, kind, cause.as_json()).await;
    Ok(())
}

async fn act(app: &App, row: &SandboxRow, effect: Effect) -> Result<(), ApiError> {
    let id = SandboxId::from(row.id.as_str());
    match effect {
        Effect::None | Effect::Boot => {}
        Effect::Freeze => app.runtime.freeze(&id).await?,
        Effect::Thaw => app.runtime.thaw(&id).await?,
        Effect::Halt => app.runtime.stop(&id).await?,
        Effect::Remove => remove(app, row).await?,
    }
    Ok(())
}

/// Removes everything of a destroyed sandbox. What fails here is tried again by the reaper.
pub(super) async fn remove(app: &App, row: &SandboxRow) -> Result<(), ApiError> {
    app.runtime
        .destroy(&SandboxId::from(row.id.as_str()))
        .await?;
    policy::ended(app, &row.id).await;
    connectors::forget(app, &row.id).await?;
    store::sandbox_env::clear(&app.pool, &row.id).await?;
    store::services::clear(&app.pool, &row.id).await?;
    store::network_policies::delete_of_sandbox(&app.pool, &row.tenant_id, &row.id).await?;
    app.activity.forget(&row.id);
    if !row.below().is_empty() {
        snapshots::collect(app).await?;
    }
    Ok(())
}

/// Waits for the end of a sandbox's guest agent and tells its driver.
pub(super) fn watch(app: &App, row: &SandboxRow) {
    let (app, id, generation) = (app.clone(), row.id.clone(), row.generation);
    app.tasks.clone().spawn(async move {
        let sandbox = SandboxId::from(id.as_str());
        let why = tokio::select! {
            () = app.shutdown.cancelled() => return,
            why = app.runtime.wait_exit(&sandbox) => why,
        };
        // Refused when the sandbox was stopped on purpose: then it is no news.
        let _ = order(&app, &id, Event::Exited, Cause::Exit { why, generation }).await;
    });
}

pub(super) fn set_last_error(row: &mut SandboxRow, reason: &str) {
    let mut metadata = row.metadata();
    metadata.insert("last_error".to_owned(), json!({ "reason": reason }));
    row.metadata = Value::Object(metadata).to_string();
}

fn clear_last_error(row: &mut SandboxRow) {
    let mut metadata = row.metadata();
    if metadata.remove("last_error").is_some() {
        row.metadata = Value::Object(metadata).to_string();
    }
}

fn failed_start(error: ApiError, row: &SandboxRow) -> ApiError {
    let code = match error.code {
        ErrorCode::Internal => ErrorCode::SandboxStartFailed,
        code => code,
    };
    let mut failed = ApiError::new(
        code,
        format!("sandbox {} did not start: {}", row.id, error.message),
    )
    .with_details(json!({ "sandbox_id": row.id, "reason": error.to_string() }))
    .with_source(&error);
    failed.hint = error.hint;
    failed
}

fn refused(code: ErrorCode, row: &SandboxRow) -> ApiError {
    let error = ApiError::new(code, format!("sandbox {} is {}", row.id, row.state))
        .with_details(json!({ "state": row.state }));
    match code {
        ErrorCode::SandboxNotRunning => {
            error.with_hint(format!("`miosa sandbox resume {}` starts it again", row.id))
        }
        ErrorCode::SandboxStarting => error.with_hint("wait until it is running"),
        _ => error,
    }
}
