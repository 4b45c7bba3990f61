//! Real servers of gRPC (`grpcio`) and WebSocket (`websockets`) from PyPI, behind one TLS name: HTTP/2 goes
//! to the one, HTTP/1.1 to the other. Both take one bearer token alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::authority::Authority;
use crate::tls::{self, Server};

/// Host of the servers: all its paths are bound to the connector `github`.
pub const PROTOCOLS_HOST: &str = "api.github.com";
/// What is installed, as tests were written against it.
const PYTHON: [&str; 2] = ["grpcio==1.85.3", "websockets==17.4"];
/// The Python of the sandboxes' template, which need not be this machine's.
const PYTHON_INSIDE: &str = "3.11";
const NODE: &str = "ws@8.23.0";

/// The servers; they end when this value goes.
pub struct Protocols {
    /// The TLS front.
    pub server: Server,
    /// The token they take: never to be seen in a sandbox.
    pub token: String,
    /// Folder with the clients' libraries: `inside` (Python), `node_modules`.
    pub libraries: PathBuf,
    _child: Child,
}

/// Starts them, installing the libraries into `cache` when they are not there.
pub async fn start(authority: &Authority, cache: &Path) -> Result<Protocols> {
    let libraries = install(cache).await?;
    let token = format!("ghp_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let mut child = Command::new("python3")
        .args(["-c", include_str!("protocols.py")])
        .env("PYTHONPATH", libraries.join("python"))
        .env("TOKEN", &token)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start python3")?;
    let stdout = child.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    let (grpc, websocket): (u16, u16) =
        serde_json::from_str(&line).with_context(|| format!("the servers said {line:?}"))?;
    let config = authority.server(&[PROTOCOLS_HOST], true)?;
    let server = tls::accept(config, move |mut caller| async move {
        let is_http2 = caller.get_ref().1.alpn_protocol() == Some(b"h2");
        let port = if is_http2 { grpc } else { websocket };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Ok(mut provider) = TcpStream::connect(address).await {
            // Either side may break off.
            tokio::io::copy_bidirectional(&mut caller, &mut provider)
                .await
                .ok();
        }
    })
    .await?;
    Ok(Protocols {
        server,
        token,
        libraries,
        _child: child,
    })
}

async fn install(cache: &Path) -> Result<PathBuf> {
    let folder = cache.join("protocols-2");
    let done = folder.join("done");
    if done.exists() {
        return Ok(folder);
    }
    fs_err::create_dir_all(&folder)?;
    let pip = |part: &str, more: &[&str]| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(folder.join(part))
            .args(more)
            .args(PYTHON);
        pip
    };
    let inside = ["--python-version", PYTHON_INSIDE, "--only-binary", ":all:"];
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
    ])
    .arg(&folder)
    .arg(NODE);
    for mut command in [pip("python", &[]), pip("inside", &inside), npm] {
        let output = command.output().await.context("needs pip and npm")?;
        ensure!(output.status.success(), "not installed: {output:?}");
    }
    fs_err::write(done, "")?;
    Ok(folder)
}
