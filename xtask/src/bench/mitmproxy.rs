//! mitmproxy in the broker's place: TLS in, a header set, TLS out.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use miosa_testkit::tls::PROVIDER_ADDRESS;
use tokio::process::{Child, Command};

use super::load::output;
use super::peers::{free_port, wait_for};
use super::process::Process;
use super::side::Side;
use crate::cargo;

/// The last that Debian 12's Python runs.
const VERSION: &str = "11.0.2";

/// A running mitmproxy.
pub struct Mitmproxy {
    port: u16,
    child: Child,
}

impl Mitmproxy {
    /// Installs it if it is not there, and starts it before the provider.
    pub async fn start(folder: &Path, provider: u16) -> Result<Self> {
        let port = free_port().await?;
        let child = Command::new(install().await?)
            .arg("--mode")
            .arg(format!("reverse:https://{PROVIDER_ADDRESS}:{provider}"))
            .args(["--listen-host", "127.0.0.1", "--listen-port"])
            .arg(port.to_string())
            // It does not verify, which nginx and the broker do: to its favour.
            .args(["--ssl-insecure", "--quiet", "--set"])
            .arg(format!("confdir={}", folder.join("mitmproxy").display()))
            .args(["--modify-headers", "/~q/Authorization/Bearer real"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start mitmdump")?;
        wait_for(Ipv4Addr::LOCALHOST, port)
            .await
            .context("mitmproxy")?;
        Ok(Self { port, child })
    }

    /// It as one side of the comparison.
    pub fn side(&self) -> Result<Side> {
        let id = self.child.id().context("mitmproxy ended")?;
        Ok(Side::peer("mitmproxy", self.port, Process(id)))
    }
}

async fn install() -> Result<PathBuf> {
    let place = cargo::target_folder().join(format!("tools/mitmproxy-{VERSION}"));
    let program = place.join("bin/mitmdump");
    if !program.exists() {
        let place = place.display();
        output(&format!(
            "rm -rf {place} && python3 -m venv {place} && {place}/bin/pip install --quiet mitmproxy=={VERSION}"
        ))
        .await?;
    }
    Ok(program)
}
