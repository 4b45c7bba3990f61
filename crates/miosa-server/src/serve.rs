//! Start, serve, end.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt;
use miosa_runtime::{Container, Runtime, RuntimeConfig, RuntimeError};
use miosa_vault::{KeyFileError, SealingKey};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::Inner;
use crate::broker::{self, Broker};
use crate::connectors::{Catalog, CatalogError};
use crate::events::Events;
use crate::isolation::Absent;
use crate::{
    App, Config, Dependencies, audit, bindings, builder, lifecycle, routes, runs, snapshots, store,
};

/// How long requests under way may take to end with the server.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A folder or file could not be made.
    #[error("a folder or file of the server could not be made")]
    Folder(#[source] std::io::Error),
    /// The database.
    #[error("the database could not be opened or brought up to date")]
    Database(#[from] sqlx::Error),
    /// A connector definition.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The public half of the vault's key.
    #[error("the sealing key could not be read")]
    SealingKey(#[from] KeyFileError),
    /// The address.
    #[error("the server cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Serving.
    #[error("the server ended")]
    Serve(#[source] std::io::Error),
}

/// Runs the control plane until `shutdown`. `ready` gets the bound address once requests are taken.
///
/// Sandboxes and the broker go on running after it; the next start finds them again.
pub async fn run(
    config: Config,
    deps: Dependencies,
    ready: oneshot::Sender<SocketAddr>,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    for folder in [&config.data_dir, &config.run_dir] {
        fs_err::create_dir_all(folder).map_err(ServeError::Folder)?;
    }
    let listen = config.listen;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|source| ServeError::Listen {
            address: listen,
            source,
        })?;
    let address = listener.local_addr().map_err(ServeError::Serve)?;
    let app = open(config, deps, address, shutdown.clone()).await?;
    start(&app).await;
    // Nobody has to wait for the address.
    let _ = ready.send(address);
    tracing::info!(%address, "serving");
    let service = routes::router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service)
        .with_graceful_shutdown(shutdown.clone().cancelled_owned())
        .into_future();
    let cut_off = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN_PATIENCE).await;
    };
    let ended = tokio::select! {
        ended = served => ended.map_err(ServeError::Serve),
        () = cut_off => {
            tracing::warn!("requests still under way were cut off");
            Ok(())
        }
    };
    shutdown.cancel();
    app.tasks.close();
    let _ = tokio::time::timeout(SHUTDOWN_PATIENCE, app.tasks.wait()).await;
    app.pool.close().await;
    ended
}

async fn open(
    config: Config,
    deps: Dependencies,
    address: SocketAddr,
    shutdown: CancellationToken,
) -> Result<App, ServeError> {
    private_database(&config).map_err(ServeError::Folder)?;
    let pool = store::open(&config.database_url()).await?;
    store::idempotency::release_unfinished(&pool).await?;
    let events = Events::open(&pool).await?;
    let public_url = config
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));
    Ok(App::new(Inner {
        runtime: isolation(&config, &deps),
        catalog: Catalog::load(config.connectors_dir.as_deref())?,
        sealing_key: SealingKey::read(&config.sealing_key)?,
        broker: Broker::new(&config.run_dir),
        config,
        deps,
        pool,
        events,
        runs: Default::default(),
        drivers: Default::default(),
        builds: Default::default(),
        activity: Default::default(),
        limiter: Default::default(),
        logins: Default::default(),
        shutdown,
        tasks: TaskTracker::new(),
        public_url: OnceLock::from(public_url.trim_end_matches('/').to_owned()),
    }))
}

/// The database's file is for the server's user alone, whatever the folder's mode; SQLite gives the
/// files beside it the same mode.
fn private_database(config: &Config) -> std::io::Result<()> {
    if config.database.is_some() {
        return Ok(());
    }
    let path = config.data_dir.join("miosa.db");
    let mut options = fs_err::OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(&path)?;
    fs_err::set_permissions(path, PermissionsExt::from_mode(0o600))
}

/// The one place that knows which runtime there is.
fn isolation(config: &Config, deps: &Dependencies) -> Arc<dyn Runtime> {
    let settings = RuntimeConfig {
        program: deps.program.clone(),
        guest_binary: deps.guest_binary.clone(),
        run_dir: config.run_dir.clone(),
        data_dir: config.data_dir.clone(),
    };
    let (what, hint) = match Container::new(settings.clone()) {
        Ok(container) => return Arc::new(container),
        Err(RuntimeError::Unavailable { what, hint }) => (what, hint),
        Err(other) => (
            other.to_string(),
            "the server's log has the cause".to_owned(),
        ),
    };
    tracing::error!(%what, %hint, "this host cannot run sandboxes");
    Arc::new(Absent {
        config: settings,
        what,
        hint,
    })
}

async fn start(app: &App) {
    if let Err(error) = bindings::recover(app).await {
        tracing::error!(%error, "half-made bindings could not be removed");
    }
    if let Err(error) = lifecycle::reconcile(app).await {
        tracing::error!(%error, "what an earlier server left could not be looked through");
    }
    if let Err(error) = snapshots::recover(app).await {
        tracing::error!(%error, "half-made snapshots could not be removed");
    }
    app.tasks.spawn(lifecycle::reap(app.clone()));
    app.tasks.spawn(broker::supervise(app.clone()));
    app.tasks.spawn(audit::follow(app.clone()));
    builder::start(app).await;
    runs::resume(app).await;
}
