//! The broker as a process: start, serve, end.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use miosa_api::broker::{CONTROL_SOCKET, LISTENER_SOCKET};
use miosa_vault::OpeningKey;
use rustix::net::SocketType;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::audit::AuditLog;
use crate::broker::Broker;
use crate::config::Config;
use crate::error::EgressError;
use crate::lanes::Lanes;
use crate::upstream::Upstream;
use crate::{control, handoff, harden, socket, weaken};

/// How long tasks may take to end.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

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
    let opening_key =
        OpeningKey::read(&config.opening_key).map_err(|error| EgressError::OpeningKey {
            path: config.opening_key.clone(),
            source: error.into(),
        })?;
    let upstream = Upstream::new(&config)?;
    let control_path = config.run_dir.join(CONTROL_SOCKET);
    let control_socket = socket::listen(&control_path, SocketType::STREAM)?;
    let _unlink_control = socket::Unlink(control_path);
    let handoff_path = config.run_dir.join(LISTENER_SOCKET);
    let handoff_socket = socket::listen(&handoff_path, SocketType::SEQPACKET)?;
    let _unlink_handoff = socket::Unlink(handoff_path);
    if let Some(uid) = config.drop_to_uid {
        harden::drop_to(uid)?;
    }
    let (audit, audit_writer) = AuditLog::open(&config.audit_file)?;

    let cancel = CancellationToken::new();
    let lanes = Lanes::start().map_err(EgressError::Lanes)?;
    let broker = Broker::new(opening_key, upstream, audit, lanes, cancel.clone());
    let broker = Arc::new(broker);
    let control = listener(control_socket).map_err(EgressError::Control)?;
    let shims = listener(handoff_socket).map_err(EgressError::Control)?;
    let serve_control = axum::serve(control, control::router(Arc::clone(&broker)))
        .with_graceful_shutdown(cancel.clone().cancelled_owned());
    let serve_control = async { serve_control.await };
    let serve_shims = handoff::serve(shims, Arc::clone(&broker));
    tracing::info!(run_dir = %config.run_dir.display(), "the egress broker is ready");

    let result = tokio::select! {
        () = shutdown => Ok(()),
        ended = serve_control => ended,
        ended = serve_shims => ended,
    };
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
    drop(broker);
    // The writer ends when the last record is gone; what is cut off may hold one.
    tokio::time::timeout(SHUTDOWN_MAX, audit_writer).await.ok();
    result.map_err(EgressError::Control)
}

fn listener(socket: OwnedFd) -> io::Result<UnixListener> {
    UnixListener::from_std(StdUnixListener::from(socket))
}
