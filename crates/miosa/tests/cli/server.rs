//! A small server that remembers what it was asked, and the binary in a home of its own.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use serde_json::Value;

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

/// A server on a free port, until dropped.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Server {
    /// Serves these routes under `/api/v1`.
    pub fn start(routes: Router) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let recorder =
            from_fn(move |request: Request, next: Next| record(Arc::clone(&kept), request, next));
        let app = Router::new().nest("/api/v1", routes).layer(recorder);
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            seen,
            _runtime: runtime,
        }
    }

    /// What was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request with this method.
    pub fn only(&self, method: &str) -> Seen {
        let mut found: Vec<Seen> = self
            .seen()
            .into_iter()
            .filter(|seen| seen.method == method)
            .collect();
        assert_eq!(found.len(), 1, "{found:#?}");
        found.remove(0)
    }
}

async fn record(kept: Arc<Mutex<Vec<Seen>>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    kept.lock().unwrap().push(Seen {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers.clone(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    });
    next.run(Request::from_parts(parts, Body::from(bytes)))
        .await
}

/// The binary with a home and no variables of the machine's own.
pub struct Cli {
    pub home: tempfile::TempDir,
    endpoint: String,
    variables: Vec<(&'static str, String)>,
}

/// What the binary did.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Cli {
    /// Speaks with this server.
    pub fn new(server: &Server) -> Self {
        Self::at(&format!("http://{}", server.address))
    }

    /// Speaks with whatever is there.
    pub fn at(endpoint: &str) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            endpoint: endpoint.to_owned(),
            variables: vec![("MIOSA_API_KEY", "msk_test_key_of_the_test".to_owned())],
        }
    }

    /// Sets a variable, and no key unless it is that.
    pub fn only_variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables = vec![(name, value.to_owned())];
        self
    }

    /// Runs it.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, b"")
    }

    /// Runs it with bytes on standard input.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        use std::io::Write;
        let mut child = Command::new(env!("CARGO_BIN_EXE_miosa"))
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("MIOSA_ENDPOINT", &self.endpoint)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input closes it: not an error here.
        drop(child.stdin.take().unwrap().write_all(input));
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().unwrap();
        Outcome {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}

/// A sandbox as the server sends it, with one field nobody knows.
pub fn sandbox(id: &str, state: &str) -> Value {
    serde_json::json!({
        "id": id, "slug": "slug", "name": "box", "template_id": "nextjs", "image_id": null,
        "state": state, "status": state, "ready": state == "running", "ready_at": null,
        "runtime": "container", "size": "small", "cpu_count": 2, "memory_mb": 4096,
        "disk_size_mb": 10240, "always_on": false, "persistent": true, "timeout_sec": 3600,
        "timeout_remaining_ms": 1, "idle_timeout_sec": null, "preview_url": null,
        "preview_domain": "localhost", "boot_ms": 4, "tenant_id": "t", "workspace_id": null,
        "external_user_id": null, "external_workspace_id": null, "external_project_id": null,
        "tags": [], "metadata": {}, "created_at": "2026-01-01T00:00:00Z", "started_at": null,
        "expires_at": null, "destroyed_at": null, "field_of_a_later_version": 7
    })
}
