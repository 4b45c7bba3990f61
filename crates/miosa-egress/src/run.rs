//! The broker as a process: start, serve, end.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use miosa_api::broker::{CONTROL_SOCKET, LISTENER_SOCKET};
use miosa_vault::OpeningKey;
use rustix::net::SocketType;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::AuditLog;
use crate::broker::Broker;
use crate::budget::Budgets;
use crate::config::Config;
use crate::error::EgressError;
use crate::lanes::Lanes;
use crate::upstream::Upstream;
use crate::{control, handoff, harden, socket, weaken};

/// How long tasks may take to end.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// The broker's process: all but the ways in.
pub struct Process {
    /// What is shared.
    pub broker: Arc<Broker>,
    cancel: CancellationToken,
    audit_writer: JoinHandle<()>,
    budgets: Arc<Budgets>,
    budgets_keeper: JoinHandle<()>,
}

impl Process {
    /// Reads the key, and opens the audit and the way out.
    pub fn start(config: &Config) -> Result<Self, EgressError> {
        Self::start_between(config, || Ok(()))
    }

    /// The same with a step after what needs privileges and before the audit, which does not.
    fn start_between(
        config: &Config,
        step: impl FnOnce() -> Result<(), EgressError>,
    ) -> Result<Self, EgressError> {
        let opening_key =
            OpeningKey::read(&config.opening_key).map_err(|error| EgressError::OpeningKey {
                path: config.opening_key.clone(),
                source: error.into(),
            })?;
        let upstream = Upstream::new(config)?;
        step()?;
        let (audit, audit_writer) = AuditLog::open(&config.audit_file)?;
        // After the audit, whose lock says that no other broker still counts.
        let budgets = Arc::new(Budgets::open(&config.audit_file)?);
        let cancel = CancellationToken::new();
        let keeping = Arc::clone(&budgets);
        let until = cancel.clone();
        let budgets_keeper = tokio::spawn(async move { keeping.keep(until).await });
        let lanes = Lanes::start().map_err(EgressError::Lanes)?;
        let broker = Broker::new(
            opening_key,
            upstream,
            audit,
            Arc::clone(&budgets),
            lanes,
            cancel.clone(),
        );
        Ok(Self {
            broker: Arc::new(broker),
            cancel,
            audit_writer,
            budgets,
            budgets_keeper,
        })
    }

    /// Ends all tasks, and the audit after them.
    pub async fn end(self) {
        let Self {
            broker,
            cancel,
            audit_writer,
            budgets,
            budgets_keeper,
        } = self;
        cancel.cancel();
        broker.tasks().close();
        if tokio::time::timeout(SHUTDOWN_MAX, broker.tasks().wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = broker.tasks().len(),
                "tasks were cut off at the end"
            );
        }
        // While the audit's lock is held: the next broker reads what is written here.
        budgets_keeper.await.ok();
        budgets.keep_now();
        drop(broker);
        // The writer ends when the last record is gone; what is cut off may hold one.
        tokio::time::timeout(SHUTDOWN_MAX, audit_writer).await.ok();
    }
}

/// Runs the broker until `shutdown` is ready.
///
/// # Errors
/// When it cannot start, or a socket of its own fails.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), EgressError> {
    weaken::start()?;
    harden::no_core()?;
    harden::more_files();
    let control_path = config.run_dir.join(CONTROL_SOCKET);
    let handoff_path = config.run_dir.join(LISTENER_SOCKET);
    let mut sockets = None;
    let process = Process::start_between(&config, || {
        let control = socket::listen(&control_path, SocketType::STREAM)?;
        let unlink_control = socket::Unlink::new(&control_path);
        let handoff = socket::listen(&handoff_path, SocketType::SEQPACKET)?;
        let unlink = [unlink_control, socket::Unlink::new(&handoff_path)];
        sockets = Some((control, handoff, unlink));
        config.drop_to_uid.map_or(Ok(()), harden::drop_to)
    })?;
    let (control, handoff, unlink) = sockets.expect("the step made them");

    let broker = &process.broker;
    let control = listener(control).map_err(EgressError::Control)?;
    let shims = listener(handoff).map_err(EgressError::Control)?;
    let serve_control = axum::serve(control, control::router(Arc::clone(broker)))
        .with_graceful_shutdown(process.cancel.clone().cancelled_owned());
    let mut serve_control = pin!(async { serve_control.await });
    let mut serve_shims = pin!(handoff::serve(shims, Arc::clone(broker)));
    tracing::info!(run_dir = %config.run_dir.display(), "the egress broker is ready");

    let result = tokio::select! {
        () = shutdown => Ok(()),
        ended = &mut serve_control => ended,
        ended = &mut serve_shims => ended,
    };
    // A successor may come while this one ends, which takes a while.
    drop(unlink);
    process.end().await;
    result.map_err(EgressError::Control)
}

fn listener(socket: OwnedFd) -> io::Result<UnixListener> {
    UnixListener::from_std(StdUnixListener::from(socket))
}
