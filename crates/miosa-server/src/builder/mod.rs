//! Builds templates: a plan of layers, each made once, kept by its content.
//!
//! Two builds that share a layer wait for each other at that layer; two callers that want the same
//! image share one build. A build is a task of the server: when the server ends, it ends, and what
//! it was making is removed.

mod bootstrap;
pub mod layers;
pub mod log;
pub mod plan;
mod step;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::now_ms;
use crate::oci::pull::{PullError, pull};
use crate::oci::unpack::UnpackError;
use crate::store::templates::{self as store, BuildRow};
use crate::{ApiError, App};
use layers::{Layers, Partial};
use log::{Log, Told};
use plan::{Action, Layer, Plan};

/// Why a layer was not made. Texts are for the caller of the API.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// mmdebstrap.
    #[error("the bootstrap failed: {why}")]
    Bootstrap {
        /// Why.
        why: String,
    },
    /// The image.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// An archive.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A command.
    #[error("a step ended with exit status {code}")]
    Step {
        /// Its exit status.
        code: i32,
    },
    /// It took too long.
    #[error("a step took longer than {0:?}")]
    Timeout(Duration),
    /// The sandbox it ran in is gone.
    #[error("the sandbox of a step ended before the step")]
    Lost,
    /// The server ends.
    #[error("the server ended while it was building")]
    Ended,
    /// The sandbox, its agent or the broker.
    #[error("{0}")]
    Sandbox(#[from] ApiError),
    /// The host's disk.
    #[error("the layer could not be stored: {0}")]
    Io(#[from] std::io::Error),
}

/// Builds under way.
#[derive(Debug, Default)]
pub struct Builds {
    /// By image.
    running: Mutex<HashMap<String, Arc<Build>>>,
    /// One maker a layer at a time.
    layer_locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// A build under way.
#[derive(Debug)]
pub struct Build {
    /// Its id.
    pub id: String,
    /// Its log.
    pub log: Arc<Log>,
    outcome: watch::Sender<Option<Result<(), Failure>>>,
}

/// Why a build failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The build.
    pub build_id: String,
    /// Why, for the caller.
    pub reason: String,
    /// The last lines of its output.
    pub tail: Vec<String>,
}

impl Build {
    /// Waits for its end.
    pub async fn wait(&self) -> Result<(), Failure> {
        let mut outcome = self.outcome.subscribe();
        match outcome.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Ok(())),
            Err(_) => Err(self.failure(&BuildError::Ended)),
        }
    }

    fn failure(&self, error: &BuildError) -> Failure {
        Failure {
            build_id: self.id.clone(),
            reason: error.to_string(),
            tail: self.log.tail(),
        }
    }
}

/// Removes what an earlier server was making. Called once at start.
pub async fn start(app: &App) {
    let layers = layers(app);
    if let Err(error) = layers.open() {
        tracing::error!(%error, "the folder of layers could not be prepared");
    }
    if let Err(error) = store::fail_unfinished_builds(&app.pool, now_ms()).await {
        tracing::error!(%error, "builds of an earlier server could not be marked");
    }
}

/// The layers of this server.
#[must_use]
pub fn layers(app: &App) -> Layers {
    Layers::new(&app.config.data_dir)
}

/// Folder of the logs of builds.
#[must_use]
pub fn logs(app: &App) -> PathBuf {
    app.config.data_dir.join("builds")
}

/// The build of this image that is under way.
#[must_use]
pub fn running(app: &App, image_id: &str) -> Option<Arc<Build>> {
    app.builds
        .running
        .lock()
        .expect("no panic while the lock is held")
        .get(image_id)
        .cloned()
}

/// The build with this id, if it is under way.
#[must_use]
pub fn running_by_id(app: &App, build_id: &str) -> Option<Arc<Build>> {
    let running = app
        .builds
        .running
        .lock()
        .expect("no panic while the lock is held");
    running.values().find(|build| build.id == build_id).cloned()
}

/// Starts a build of the plan, or joins the one that is under way.
pub async fn build(
    app: &App,
    tenant_id: &str,
    template_id: &str,
    plan: Plan,
) -> Result<Arc<Build>, ApiError> {
    let id = uuid::Uuid::now_v7().to_string();
    let log = Arc::new(Log::create(&logs(app), &id)?);
    let build = Arc::new(Build {
        id: id.clone(),
        log,
        outcome: watch::Sender::new(None),
    });
    {
        let mut running = app
            .builds
            .running
            .lock()
            .expect("no panic while the lock is held");
        if let Some(other) = running.get(&plan.image_id) {
            let _ = fs_err::remove_file(build.log.path());
            return Ok(other.clone());
        }
        running.insert(plan.image_id.clone(), build.clone());
    }
    let row = BuildRow {
        id,
        tenant_id: tenant_id.to_owned(),
        template_id: template_id.to_owned(),
        image_id: plan.image_id.clone(),
        status: "building".to_owned(),
        error: None,
        created_at: now_ms(),
        finished_at: None,
    };
    if let Err(error) = store::insert_build(&app.pool, &row).await {
        finish(
            app,
            &build,
            &plan.image_id,
            Err(BuildError::Sandbox(ApiError::from(error))),
        )
        .await;
        return Ok(build);
    }
    let (task_app, task_build) = (app.clone(), build.clone());
    app.tasks.spawn(async move {
        let outcome = make(&task_app, &row, &plan, &task_build).await;
        finish(&task_app, &task_build, &plan.image_id, outcome).await;
    });
    Ok(build)
}

async fn finish(app: &App, build: &Build, image_id: &str, outcome: Result<(), BuildError>) {
    let outcome = outcome.map_err(|error| build.failure(&error));
    match &outcome {
        Ok(()) => build.log.add("build.finished", "the template is ready"),
        Err(failure) => build.log.add("build.failed", &failure.reason),
    }
    let error = outcome
        .as_ref()
        .err()
        .map(|failure| failure.reason.as_str());
    if let Err(error) = store::finish_build(&app.pool, &build.id, error, now_ms()).await {
        tracing::error!(%error, build = build.id, "the end of a build could not be written");
    }
    tracing::info!(
        build = build.id,
        image = image_id,
        error,
        "a template's build ended"
    );
    app.builds
        .running
        .lock()
        .expect("no panic while the lock is held")
        .remove(image_id);
    build.log.end();
    build.outcome.send_replace(Some(outcome));
}

async fn make(app: &App, row: &BuildRow, plan: &Plan, build: &Build) -> Result<(), BuildError> {
    let told = Told::new(build.log.clone());
    told.event(
        "build.started",
        &format!(
            "building {} of {} layers",
            row.template_id,
            plan.layers.len()
        ),
    );
    for (at, layer) in plan.layers.iter().enumerate() {
        let lock = layer_lock(app, &layer.key);
        let made = lock.lock().await;
        let title = format!(
            "[{}/{}] {}",
            at + 1,
            plan.layers.len(),
            layer.action.title()
        );
        if layers(app).has(&layer.key) {
            told.event("layer.cached", &title);
        } else {
            told.event("layer.started", &title);
            let since = std::time::Instant::now();
            let size = make_layer(app, &row.tenant_id, layer, &plan.layers[..at], &told).await?;
            let took = since.elapsed().as_secs_f64();
            told.event(
                "layer.finished",
                &format!("{title}: {took:.1} s, {} MiB", size / (1024 * 1024)),
            );
        }
        drop(made);
    }
    Ok(())
}

fn layer_lock(app: &App, key: &str) -> Arc<tokio::sync::Mutex<()>> {
    let mut locks = app
        .builds
        .layer_locks
        .lock()
        .expect("no panic while the lock is held");
    locks.retain(|_, lock| Arc::strong_count(lock) > 1);
    locks.entry(key.to_owned()).or_default().clone()
}

async fn make_layer(
    app: &App,
    tenant_id: &str,
    layer: &Layer,
    below: &[Layer],
    told: &Told,
) -> Result<u64, BuildError> {
    let partial = layers(app).begin(&layer.key)?;
    match &layer.action {
        Action::Bootstrap { suite, packages } => {
            let (root, scratch) = (partial.root(), partial.scratch());
            or_ended(
                app,
                bootstrap::bootstrap(suite, packages, &root, &scratch, told),
            )
            .await?;
        }
        Action::Pull { reference } => {
            or_ended(app, pull_into(app, reference, &partial, told)).await?
        }
        Action::Files(_) | Action::Run(_) => {
            step::run(app, tenant_id, layer, below, &partial.root(), told).await?;
        }
    }
    Ok(tokio::task::spawn_blocking(move || {
        step::strip(&partial.root())?;
        partial.commit()
    })
    .await
    .map_err(std::io::Error::other)??)
}

async fn pull_into(
    app: &App,
    reference: &str,
    partial: &Partial,
    told: &Told,
) -> Result<(), BuildError> {
    let lines = told.clone();
    let told = move |line: String| lines.line(&line);
    let allowed = &app.config.egress.allowed_ranges;
    Ok(pull(
        reference,
        &partial.root(),
        &partial.scratch(),
        allowed,
        &told,
    )
    .await?)
}

async fn or_ended<T>(
    app: &App,
    work: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    tokio::select! {
        outcome = work => outcome,
        () = app.shutdown.cancelled() => Err(BuildError::Ended),
    }
}
