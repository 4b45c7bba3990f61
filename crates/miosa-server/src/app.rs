//! What every part of the server shares. Cheap to clone; everything in it can be rebuilt from the
//! database and the runtime.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use miosa_api::id::SandboxId;
use miosa_runtime::Runtime;
use miosa_vault::SealingKey;
use sqlx::AnyPool;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::activity::Activity;
use crate::auth::RateLimiter;
use crate::broker::Broker;
use crate::builder::Builds;
use crate::config::Config;
use crate::connectors::Catalog;
use crate::device_login::DeviceLogins;
use crate::events::Events;
use crate::guest::Guest;
use crate::lifecycle::Drivers;
use crate::runs::Runs;

/// What the server needs of the program it is part of.
#[derive(Debug, Clone)]
pub struct Dependencies {
    /// The `miosa` program, for `egress` and `shim`.
    pub program: PathBuf,
    /// The static guest agent on the host.
    pub guest_binary: PathBuf,
    /// The configuration file, passed on to the broker.
    pub config_path: PathBuf,
}

/// The server's shared state.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// See [`App`].
pub struct Inner {
    /// What the operator set.
    pub config: Config,
    /// Paths of programs.
    pub deps: Dependencies,
    /// The database.
    pub pool: AnyPool,
    /// What isolates.
    pub runtime: Arc<dyn Runtime>,
    /// Where credentials belong.
    pub catalog: Catalog,
    /// Locks secrets away for the broker.
    pub sealing_key: SealingKey,
    /// The egress broker.
    pub broker: Broker,
    /// Events of sandboxes.
    pub events: Events,
    /// Tells waiting callers of news of runs.
    pub runs: Runs,
    /// One task per sandbox.
    pub drivers: Drivers,
    /// Builds of templates under way.
    pub builds: Builds,
    /// Last use of each sandbox.
    pub activity: Activity,
    /// Requests a minute and key.
    pub limiter: RateLimiter,
    /// Terminals that wait for approval.
    pub logins: DeviceLogins,
    /// Cancelled when the server shall end.
    pub shutdown: CancellationToken,
    /// Tasks that end with the server; spawn here, not with `tokio::spawn`.
    pub tasks: TaskTracker,
    /// Address callers use, known once bound.
    pub public_url: OnceLock<String>,
}

impl App {
    /// Shares `inner`.
    #[must_use]
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// How callers reach the API, without a trailing slash.
    #[must_use]
    pub fn public_url(&self) -> &str {
        self.public_url.get().map_or("", String::as_str)
    }

    /// The guest agent of a sandbox.
    #[must_use]
    pub fn guest(&self, id: &str) -> Guest {
        Guest::new(self.runtime.guest_socket(&SandboxId::from(id)))
    }
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
