//! The peers: nginx as provider and as the broker's peer, and a Docker engine in namespaces of its own.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use miosa_testkit::rig::Rig;
use miosa_testkit::tls::PROVIDER_ADDRESS;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use super::process::Process;
use super::side::Side;

/// Name of the provider behind nginx; a binding is made for the first, none for the second.
pub const BOUND_HOST: &str = "api.openai.com";
/// Host that is only tunnelled.
pub const TUNNEL_HOST: &str = "files.example";
/// Bytes of the long text.
pub const BIG_BYTES: u64 = 256 << 20;

/// This nginx would else stop at TLS 1.2.
const TLS: &str = "ssl_protocols TLSv1.2 TLSv1.3;";

/// One nginx that is the provider (TLS, small answer, long text) and one that is a proxy before it (TLS in, header
/// set, TLS out): two, so that each has its own processor time and memory.
pub struct Nginx {
    /// Port of the provider.
    pub provider: u16,
    proxy: u16,
    child: Child,
    provider_child: Child,
}

impl Nginx {
    /// Starts it in `folder`.
    pub async fn start(folder: &Path, rig: &Rig) -> Result<Self> {
        let place = folder.join("nginx");
        fs_err::create_dir_all(place.join("files/v1/models"))?;
        let (certificate, key) = rig.authority.leaf(&[BOUND_HOST, TUNNEL_HOST])?;
        fs_err::write(place.join("cert.pem"), certificate)?;
        fs_err::write(place.join("key.pem"), key)?;
        fs_err::write(place.join("ca.pem"), rig.authority.pem())?;
        let files = place.join("files");
        long_text(&files.join("v1/models/big"))?;
        fs_err::hard_link(files.join("v1/models/big"), files.join("big"))?;
        let (provider, proxy) = (free_port().await?, free_port().await?);
        let first = spawn(&place, "provider", &provider_config(&place, provider))?;
        wait_for(PROVIDER_ADDRESS, provider)
            .await
            .context("nginx")?;
        let child = spawn(&place, "proxy", &proxy_config(&place, provider, proxy))?;
        wait_for(Ipv4Addr::LOCALHOST, proxy)
            .await
            .context("nginx")?;
        Ok(Self {
            provider,
            proxy,
            child,
            provider_child: first,
        })
    }

    /// The proxy as one side of the comparison.
    pub fn side(&self) -> Result<Side> {
        let id = self.child.id().context("nginx ended")?;
        Ok(Side::peer("nginx", self.proxy, Process(id)))
    }

    /// Flags of `miosa up` that make the broker find it.
    pub fn flags(&self) -> Vec<String> {
        [BOUND_HOST, TUNNEL_HOST]
            .iter()
            .flat_map(|host| {
                [
                    "--static-host".to_owned(),
                    format!("{host}:443={PROVIDER_ADDRESS}:{}", self.provider),
                ]
            })
            .collect()
    }
}

impl Drop for Nginx {
    /// Asks them to end and waits: a master that is killed leaves its workers behind.
    fn drop(&mut self) {
        for child in [&mut self.child, &mut self.provider_child] {
            let Some(id) = child.id() else { continue };
            let asked = std::process::Command::new("kill")
                .arg(id.to_string())
                .status();
            for _ in 0..250 {
                if asked.is_err() || !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

fn spawn(place: &Path, name: &str, http: &str) -> Result<Child> {
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let temporary =
        temporary.map(|kind| format!("{kind}_temp_path {}/{name}-{kind};", place.display()));
    let config = format!(
        "daemon off; worker_processes 2; worker_rlimit_nofile 16384; pid {0}/{name}.pid; error_log {0}/{name}.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000; {1}
  ssl_certificate {0}/cert.pem; ssl_certificate_key {0}/key.pem; {TLS}
{http} }}
",
        place.display(),
        temporary.join(" ")
    );
    let file = place.join(format!("{name}.conf"));
    fs_err::write(&file, config)?;
    Command::new("nginx")
        .arg("-c")
        .arg(&file)
        .arg("-p")
        .arg(place)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start nginx")
}

fn provider_config(place: &Path, port: u16) -> String {
    format!(
        "  server {{ listen {PROVIDER_ADDRESS}:{port} ssl; root {}/files;
    location = /v1/models {{ default_type application/json; return 200 '{{\"data\":[]}}'; }} }}",
        place.display()
    )
}

fn proxy_config(place: &Path, provider: u16, port: u16) -> String {
    format!(
        "  upstream up {{ server {PROVIDER_ADDRESS}:{provider}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port} ssl;
    location / {{ proxy_pass https://up; proxy_http_version 1.1; proxy_set_header Connection '';
      proxy_set_header Host {BOUND_HOST}; proxy_set_header Authorization 'Bearer real'; proxy_buffering off;
      proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_server_name on; proxy_ssl_name {BOUND_HOST}; proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {}/ca.pem; }} }}",
        place.display()
    )
}

/// Words that do not repeat for long, in lines: what a search has to read.
fn long_text(path: &Path) -> Result<()> {
    let mut state = 1_u64;
    let mut block = String::with_capacity(1 << 20);
    while block.len() < 1 << 20 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let word = state >> 20;
        block.push_str(&format!("data: {{\"delta\":\"{word:x} sk-{word}\"}}\n"));
    }
    block.truncate(1 << 20);
    let mut file = fs_err::File::create(path)?;
    for _ in 0..BIG_BYTES >> 20 {
        file.write_all(block.as_bytes())?;
    }
    Ok(())
}

/// A port that is free on both addresses a moment from now.
pub async fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((PROVIDER_ADDRESS, 0)).await?;
    Ok(listener.local_addr()?.port())
}

/// Waits until something listens.
pub async fn wait_for(address: impl Into<IpAddr>, port: u16) -> Result<()> {
    let address = address.into();
    for _ in 0..1500 {
        if TcpStream::connect((address, port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("nothing listens on {address}:{port}")
}

/// A Docker engine in private mount and network namespaces, with the root imported as an image.
pub struct Docker {
    socket: PathBuf,
    _engine: Child,
}

impl Docker {
    /// Starts it; `None`, said aloud, where there is no engine.
    pub async fn start(folder: &Path, root: &Path) -> Result<Option<Self>> {
        let place = folder.join("docker");
        fs_err::create_dir_all(&place)?;
        let socket = place.join("sock");
        let line = format!(
            "ip link set lo up; exec dockerd --data-root {0}/data --exec-root {0}/exec -H unix://{0}/sock -p {0}/pid --storage-driver overlay2 >{0}/log 2>&1",
            place.display()
        );
        let engine = Command::new("unshare")
            .args(["-n", "-m", "bash", "-c", &line])
            .kill_on_drop(true)
            .spawn();
        let Ok(engine) = engine else { return Ok(None) };
        let docker = Self {
            socket,
            _engine: engine,
        };
        docker.import(root).await?;
        Ok(Some(docker))
    }

    async fn import(&self, root: &Path) -> Result<()> {
        let line = format!(
            "for i in $(seq 100); do docker -H unix://{0} info >/dev/null 2>&1 && break; sleep 0.1; done; tar -C {1} -c . | docker -H unix://{0} import - bench",
            self.socket.display(),
            root.display()
        );
        let output = Command::new("sh").args(["-c", &line]).output().await?;
        ensure!(
            output.status.success(),
            "docker import: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// The line that runs `true` once.
    pub fn run_line(&self) -> String {
        format!(
            "docker -H unix://{} run --rm --network none bench /bin/true",
            self.socket.display()
        )
    }
}
