//! The long-running roles: which parts of the program each of them puts together.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use miosa_server::{Config, Dependencies};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::cli::error::{CliError, Fault, Result, innermost};
use crate::guest_binary;
use crate::standalone::FileSource;

/// Variable with the log's filter.
const LOG_VARIABLE: &str = "MIOSA_LOG";

/// Starts one sandbox and stays with it. Called while the process has one thread.
pub fn shim(folder: &Path) -> ExitCode {
    miosa_runtime::shim_main(folder)
}

/// Runs the control plane of a configuration file until a signal ends it.
pub fn server(config_path: &Path) -> Result<ExitCode> {
    start_log("info");
    let config = load(config_path)?;
    runtime()?.block_on(async {
        let shutdown = CancellationToken::new();
        let (ready, bound) = oneshot::channel();
        tokio::spawn(async move { bound.await.map(|address| tracing::info!(%address, "ready")) });
        let serving = serve(config, config_path, ready, shutdown.clone());
        tokio::pin!(serving);
        tokio::select! {
            ended = &mut serving => ended?,
            asked = end_asked() => {
                asked?;
                shutdown.cancel();
                serving.await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs the egress broker of a configuration file until a signal ends it.
pub fn egress(config_path: &Path) -> Result<ExitCode> {
    start_log("info");
    let config = load(config_path)?;
    runtime()?.block_on(async {
        let asked = async { drop(end_asked().await) };
        miosa_egress::run(broker_config(config), asked)
            .await
            .map_err(|error| role_error("the egress broker ended", &error))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs the broker as a proxy without sandboxes until a signal ends it; a hangup reads the settings again.
pub fn egress_standalone(config_path: &Path) -> Result<ExitCode> {
    start_log("info");
    runtime()?.block_on(async {
        let mut hangups = signal(SignalKind::hangup()).map_err(|error| CliError::file(&error))?;
        let (again, reload) = mpsc::channel(1);
        tokio::spawn(async move {
            while hangups.recv().await.is_some() && again.send(()).await.is_ok() {}
        });
        let asked = async { drop(end_asked().await) };
        miosa_egress::run_standalone(FileSource::new(config_path), reload, asked)
            .await
            .map_err(|error| role_error("the egress broker ended", &error))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs the control plane as part of this process until `shutdown`.
pub async fn serve(
    config: Config,
    config_path: &Path,
    ready: oneshot::Sender<SocketAddr>,
    shutdown: CancellationToken,
) -> Result<()> {
    let deps = dependencies(&config, config_path)?;
    miosa_server::run(config, deps, ready, shutdown)
        .await
        .map_err(|error| role_error("the server ended", &error))
}

/// This program and the guest agent in it, as the server needs them.
pub fn dependencies(config: &Config, config_path: &Path) -> Result<Dependencies> {
    let program = std::env::current_exe().map_err(|error| CliError::file(&error))?;
    let guest_binary = guest_binary::install(&config.data_dir.join("guest"))
        .map_err(|error| CliError::file(&error))?;
    Ok(Dependencies {
        program,
        guest_binary,
        config_path: std::path::absolute(config_path).map_err(|error| CliError::file(&error))?,
    })
}

/// Reads a configuration file.
pub fn load(path: &Path) -> Result<Config> {
    Config::load(path).map_err(|error| {
        CliError::user("CLI_CONFIG_ERROR", error.to_string())
            .hint("the settings are described in docs/operators.md")
    })
}

/// The broker's part of the configuration.
fn broker_config(config: Config) -> miosa_egress::Config {
    let audit_file = config.audit_file();
    let egress = config.egress;
    miosa_egress::Config {
        run_dir: config.run_dir,
        opening_key: egress.opening_key,
        audit_file,
        static_hosts: egress.static_hosts,
        resolvers: egress.resolvers,
        extra_upstream_ca: egress.extra_upstream_ca,
        allowed_ranges: egress.allowed_ranges,
        drop_to_uid: egress.drop_to_uid,
    }
}

/// A role that ended by itself, with the whole chain of causes but the first in `why`.
fn role_error(what: &str, error: &(dyn std::error::Error + 'static)) -> CliError {
    let text = error.to_string();
    let cause = innermost(error);
    let why = if cause == text {
        text
    } else {
        format!("{text}: {cause}")
    };
    CliError::new(Fault::Server, "ROLE_FAILED", what).why(why)
}

/// Resolves when this process is asked to end (SIGINT, SIGTERM).
pub async fn end_asked() -> Result<()> {
    let listen = |kind| signal(kind).map_err(|error| CliError::file(&error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A runtime with a thread for each core.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::file(&error))
}

/// Logs to standard error; `MIOSA_LOG` says what.
///
/// INVARIANT: whatever it says, no message of a sandbox is written out: its bytes could be anything, control
/// characters of a terminal among them (row 151).
pub fn start_log(default: &str) {
    let mut filter =
        EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new(default));
    for dumping in ["tungstenite=info", "tokio_tungstenite=info"] {
        filter = filter.add_directive(dumping.parse().expect("a directive"));
    }
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    // A second subscriber is refused: the first one stays, which is fine.
    drop(log.try_init());
}
