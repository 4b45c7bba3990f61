//! `miosa up` and `miosa down`: a server for own use, from nothing to a ready line.
//!
//! Everything is below `~/.miosa`: `server.toml`, `keys/`, `data/`, `run/`, and the CLI's own
//! `config.json`. What was made once is found again; a key is written to `config.json` (0600) and
//! printed nowhere.

mod access;
mod end;
mod flags;
mod prepare;

use std::net::SocketAddr;
use std::process::ExitCode;

use miosa_server::Config;
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use access::new_key;
pub use end::{Down, down};
pub use flags::Up;
pub use prepare::write_keys;

use prepare::Place;

use crate::cli::error::{CliError, Fault, Result};
use crate::cli::printer::{Printer, View};
use crate::roles;

/// Shown in the help.
pub const EXAMPLES: &str = "Examples:\n  \
    miosa up\n  \
    miosa up --listen 127.0.0.1:7420 --data-dir /var/lib/miosa\n  \
    miosa up --ephemeral --static-host api.example.com=10.0.0.5:8443 --upstream-ca ./ca.pem --allow-range 10.0.0.5/32";

/// Runs a server in the foreground until Ctrl-C.
pub fn up(args: &Up, printer: &Printer) -> Result<ExitCode> {
    let place = Place::find()?;
    let config = prepare::prepare(args, &place)?;
    prepare::check_host(&config, &place)?;
    roles::start_log("warn,miosa_server=info,miosa_runtime=info");
    roles::runtime()?.block_on(run(args, config, &place, printer))
}

async fn run(args: &Up, config: Config, place: &Place, printer: &Printer) -> Result<ExitCode> {
    let _pid = end::PidFile::write(&config.run_dir)?;
    let shutdown = CancellationToken::new();
    let (ready, bound) = oneshot::channel();
    let serving = tokio::spawn({
        let (config, path, shutdown) = (config.clone(), place.config_file(), shutdown.clone());
        async move { roles::serve(config, &path, ready, shutdown).await }
    });
    // A server that does not get ready has ended, and says why.
    let Ok(address) = bound.await else {
        return Err(joined(serving.await)
            .err()
            .unwrap_or_else(|| ended("the server ended")));
    };
    let outcome = announce_and_wait(args, &config, address, printer).await;
    shutdown.cancel();
    let served = joined(serving.await);
    if args.ephemeral {
        end::clean(&config, place).await?;
    }
    outcome.and(served)?;
    Ok(ExitCode::SUCCESS)
}

fn joined(ended_task: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended_task.unwrap_or_else(|error| Err(ended(&error.to_string())))
}

fn ended(why: &str) -> CliError {
    CliError::new(Fault::Server, "ROLE_FAILED", why)
}

/// From the first request that can be taken to the wish to end.
async fn announce_and_wait(
    args: &Up,
    config: &Config,
    address: SocketAddr,
    printer: &Printer,
) -> Result<()> {
    let endpoint = config
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{address}"));
    access::grant(config, &endpoint).await?;
    announce(&endpoint, args.ephemeral, printer);
    roles::end_asked().await?;
    printer.note("ending…");
    if args.ephemeral {
        end::destroy_all(&endpoint, printer).await;
    } else {
        printer.note(
            "running sandboxes stay; `miosa up` finds them again, `miosa down` ends their network",
        );
    }
    Ok(())
}

fn announce(endpoint: &str, ephemeral: bool, printer: &Printer) {
    let kept = if ephemeral {
        "Ctrl-C ends it and destroys its sandboxes."
    } else {
        "Ctrl-C ends the server; running sandboxes stay."
    };
    printer.value(
        &json!({"ready": true, "endpoint": endpoint}),
        View::Text(format!(
            "miosa is ready at {endpoint}\n{kept}\nIn another terminal:\n\n  \
             miosa sandbox create --template nextjs --auto-start --publish-port 3000 --wait\n"
        )),
    );
}
