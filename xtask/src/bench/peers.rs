//! The peers: nginx as provider and as the broker's peer, and a Docker engine in namespaces of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use miosa_testkit::rig::Rig;
use miosa_testkit::tls::PROVIDER_ADDRESS;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// Name of the provider behind nginx; a binding is made for the first, none for the second.
pub const BOUND_HOST: &str = "api.openai.com";
/// Host that is only tunnelled.
pub const TUNNEL_HOST: &str = "files.example";
/// Bytes of the big file.
pub const BIG_BYTES: u64 = 1 << 30;

/// An nginx with a provider (TLS, small answer, big file) and a proxy before it (TLS in, header set, TLS out).
pub struct Nginx {
    provider: u16,
    /// Port of the proxy.
    pub proxy: u16,
    _child: Child,
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
        fs_err::File::create(place.join("files/v1/models/big"))?.set_len(BIG_BYTES)?;
        let (provider, proxy) = (free_port().await?, free_port().await?);
        let config = config(&place, provider, proxy);
        let file = place.join("nginx.conf");
        fs_err::write(&file, config)?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(&place)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start nginx")?;
        wait_for(provider).await?;
        Ok(Self {
            provider,
            proxy,
            _child: child,
        })
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

fn config(place: &Path, provider: u16, proxy: u16) -> String {
    let place = place.display();
    // This nginx would else stop at TLS 1.2, and close connections to the provider every 1000 requests.
    let tls = format!(
        "ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {place}/cert.pem; ssl_certificate_key {place}/key.pem;"
    );
    format!(
        "daemon off; worker_processes 2; pid {place}/pid; error_log {place}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000; client_body_temp_path {place}/b; proxy_temp_path {place}/p;
  fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  upstream up {{ server {PROVIDER_ADDRESS}:{provider}; keepalive 64; keepalive_requests 1000000; }}
  server {{ listen {PROVIDER_ADDRESS}:{provider} ssl; {tls} root {place}/files;
    location = /v1/models {{ default_type application/json; return 200 '{{\"data\":[]}}'; }} }}
  server {{ listen 127.0.0.1:{proxy} ssl; {tls}
    location / {{ proxy_pass https://up; proxy_http_version 1.1; proxy_set_header Connection '';
      proxy_set_header Host {BOUND_HOST}; proxy_set_header Authorization 'Bearer real'; proxy_buffering off;
      proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_server_name on; proxy_ssl_name {BOUND_HOST}; proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {place}/ca.pem; }} }}
}}
"
    )
}

async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((PROVIDER_ADDRESS, 0))
        .await?
        .local_addr()?
        .port())
}

async fn wait_for(port: u16) -> Result<()> {
    for _ in 0..250 {
        if TcpStream::connect((PROVIDER_ADDRESS, port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("nginx does not listen")
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
