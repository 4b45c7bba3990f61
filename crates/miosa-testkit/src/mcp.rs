//! A real MCP server: `@modelcontextprotocol/server-everything` from npm, streamable HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::npm;

/// The package and the version the tests were written against.
const PACKAGE: &str = "@modelcontextprotocol/server-everything";
const VERSION: &str = "2026.8.31";
/// How long the server may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The server's process; killed when this value goes.
pub struct McpServer {
    /// Where it listens, cleartext.
    pub address: SocketAddr,
    /// Folder of npm packages: the server's own, and the official client.
    pub libraries: PathBuf,
    _child: Child,
}

/// Starts the server, installing it from npm into `cache` when it is not there.
pub async fn start(cache: &Path) -> Result<McpServer> {
    let packages = [format!("{PACKAGE}@{VERSION}")];
    let packages = packages.each_ref().map(String::as_str);
    let libraries = npm::install(cache, &format!("mcp-{VERSION}"), &packages).await?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()?
        .port();
    let child = Command::new("node")
        .arg(libraries.join(PACKAGE).join("dist/index.js"))
        .arg("streamableHttp")
        .env("PORT", port.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start node")?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    tokio::time::timeout(START_TIMEOUT, listening(address))
        .await
        .context("the MCP server does not listen")?;
    Ok(McpServer {
        address,
        libraries,
        _child: child,
    })
}

async fn listening(address: SocketAddr) {
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
