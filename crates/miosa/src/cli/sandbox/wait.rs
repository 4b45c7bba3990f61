//! Waiting: for a sandbox to run, for an application to answer inside, for its preview to answer outside.

use std::time::{Duration, Instant};

use miosa_api::exec::ExecRequest;
use miosa_api::preview::Expose;
use miosa_api::sandbox::{Sandbox, SandboxState};
use miosa_client::{Answer, Client, Probe};
use serde_json::{Value, json};

use crate::cli::error::{CliError, Result};
use crate::cli::printer::Progress;
use crate::cli::shell;

/// Time between two looks at a sandbox.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Time one look inside may take.
const INSIDE_TIMEOUT_SECS: f64 = 15.0;
/// Title of previews the CLI makes.
const PREVIEW_TITLE: &str = "app preview";

/// A budget of time.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    end: Instant,
    total: Duration,
}

impl Deadline {
    /// A budget from now on.
    pub fn after(total: Duration) -> Self {
        Self {
            end: Instant::now() + total,
            total,
        }
    }

    /// Waits until the next look; an error when there is no time for one.
    async fn next_look(&self, what: &str, last: &str, details: Value) -> Result<()> {
        if Instant::now() + LOOK_EVERY > self.end {
            let mut error = CliError::user(
                "CLI_WAIT_TIMEOUT",
                format!("{what} after {} s", self.total.as_secs()),
            )
            .why(last)
            .hint("wait longer with --timeout, or look with `miosa sandbox doctor <id> --port <port>`")
            .details(details);
            error.retryable = true;
            return Err(error);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(())
    }
}

/// Waits until a sandbox runs; one that cannot any more is an error with its reason.
pub async fn until_running(
    id: &str,
    deadline: Deadline,
    client: &Client,
    progress: &mut Progress,
) -> Result<Answer<Sandbox>> {
    loop {
        let answer = client.sandbox(id).await?;
        let sandbox = answer.data()?;
        match sandbox.state {
            SandboxState::Running => return Ok(answer),
            SandboxState::Creating => {}
            SandboxState::Paused | SandboxState::Stopped => {
                return Err(CliError::user(
                    "SANDBOX_NOT_RUNNING",
                    format!("sandbox {id} is {}", sandbox.state.as_str()),
                )
                .hint(format!("start it with `miosa sandbox resume {id}`")));
            }
            SandboxState::Error | SandboxState::Destroyed => return Err(lost(&sandbox)),
        }
        progress.say(&format!("sandbox is {}…", sandbox.state.as_str()));
        let details = json!({"sandbox_id": id, "state": sandbox.state});
        deadline
            .next_look("the sandbox does not run", sandbox.state.as_str(), details)
            .await?;
    }
}

fn lost(sandbox: &Sandbox) -> CliError {
    let reason = sandbox
        .metadata
        .get("last_error")
        .and_then(|error| error["reason"].as_str())
        .unwrap_or("the server gives no reason");
    CliError::user(
        "SANDBOX_NOT_RUNNING",
        format!("sandbox {} is {}", sandbox.id, sandbox.state.as_str()),
    )
    .why(reason)
    .details(json!({"sandbox_id": sandbox.id, "state": sandbox.state}))
}

/// Waits until an application answers on a port inside, and returns its status.
pub async fn inside(
    id: &str,
    port: u16,
    path: &str,
    deadline: Deadline,
    client: &Client,
    progress: &mut Progress,
) -> Result<u16> {
    progress.say(&format!("waiting for port {port} inside…"));
    loop {
        let last = match look_inside(id, port, path, client).await {
            Ok(status @ 200..=399) => return Ok(status),
            Ok(status) => format!("it answers with status {status}"),
            Err(why) => why,
        };
        let details =
            json!({"sandbox_id": id, "port": port, "internal_status": last, "ready": false});
        deadline
            .next_look(
                "the application does not answer inside the sandbox",
                &last,
                details,
            )
            .await?;
    }
}

/// One look from inside, through the sandbox's own Python.
pub async fn look_inside(
    id: &str,
    port: u16,
    path: &str,
    client: &Client,
) -> std::result::Result<u16, String> {
    let request = ExecRequest {
        command: inside_probe(port, path),
        timeout: Some(INSIDE_TIMEOUT_SECS),
        ..ExecRequest::default()
    };
    let answer = client.exec(id, &request).await;
    let result = answer
        .and_then(|answer| answer.data())
        .map_err(|error| error.to_string())?;
    let status = result.stdout.trim().parse();
    status.map_err(|_| {
        let last = result
            .stderr
            .trim()
            .lines()
            .last()
            .unwrap_or("nothing answers");
        last.to_owned()
    })
}

fn inside_probe(port: u16, path: &str) -> String {
    format!(
        "MIOSA_PROBE_PATH={path} python3 - <<'MIOSA_PROBE'\n\
         import http.client, os\n\
         connection = http.client.HTTPConnection('127.0.0.1', {port}, timeout=10)\n\
         connection.request('GET', os.environ['MIOSA_PROBE_PATH'])\n\
         print(connection.getresponse().status)\n\
         MIOSA_PROBE\n",
        path = shell::quote(&rooted(path)),
    )
}

/// Exposes a port and returns its address.
pub async fn expose(id: &str, port: u16, client: &Client) -> Result<String> {
    let body = Expose {
        port: Some(port),
        title: Some(PREVIEW_TITLE.to_owned()),
        visibility: None,
    };
    let answer = client.expose(id, &body).await?;
    let found = ["url", "preview_url", "public_url"]
        .iter()
        .find_map(|name| answer.json().get(name)?.as_str().map(str::to_owned));
    found.ok_or_else(|| {
        CliError::new(
            crate::cli::error::Fault::Server,
            "CLI_PROTOCOL_ERROR",
            "the server gave no address for the port",
        )
    })
}

/// Waits until a preview answers from outside.
pub async fn outside(
    url: &str,
    deadline: Deadline,
    client: &Client,
    progress: &mut Progress,
) -> Result<Probe> {
    progress.say(&format!("waiting for {url}…"));
    loop {
        let probe = client.probe(url).await;
        if probe.is_ready() {
            return Ok(probe);
        }
        let details = json!({"url": url, "ready": false, "status": probe.status});
        deadline
            .next_look("the preview does not answer", &seen(&probe), details)
            .await?;
    }
}

/// What became of an application that was waited for.
pub struct PortReady {
    /// Status seen inside.
    pub internal_status: u16,
    /// Address outside.
    pub url: String,
    /// What was seen there.
    pub probe: Probe,
}

/// Waits for the sandbox, the application inside, and its preview outside, in this order.
pub async fn port_ready(
    id: &str,
    port: u16,
    path: &str,
    deadline: Deadline,
    client: &Client,
    progress: &mut Progress,
) -> Result<PortReady> {
    until_running(id, deadline, client, progress).await?;
    let internal_status = inside(id, port, path, deadline, client, progress).await?;
    let url = expose(id, port, client).await?;
    let probe = outside(&with_path(&url, path), deadline, client, progress).await?;
    Ok(PortReady {
        internal_status,
        url,
        probe,
    })
}

/// `preview` of a sandbox, as programs read it.
pub fn preview_json(url: &str, port: u16, probe: &Probe) -> Value {
    json!({
        "url": url,
        "port": port,
        "route_ready": probe.is_ready(),
        "tls_ready": probe.tls,
        "last_status": probe.status,
        "latency_ms": probe.latency_ms,
        "error": probe.error,
    })
}

/// What a probe saw, for people.
pub fn seen(probe: &Probe) -> String {
    match (probe.status, &probe.error) {
        (Some(status), _) => format!("status {status} in {} ms", probe.latency_ms),
        (None, Some(error)) => error.clone(),
        (None, None) => "nothing".to_owned(),
    }
}

/// A preview's address with a path behind it (and its query kept).
pub fn with_path(url: &str, path: &str) -> String {
    let path = rooted(path);
    if path == "/" {
        return url.to_owned();
    }
    match url.split_once('?') {
        Some((base, query)) => format!("{}{path}?{query}", base.trim_end_matches('/')),
        None => format!("{}{path}", url.trim_end_matches('/')),
    }
}

fn rooted(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::{inside_probe, with_path};

    #[test]
    fn a_path_goes_behind_the_address_and_before_its_query() {
        assert_eq!(
            with_path("http://a.localhost:1", "/"),
            "http://a.localhost:1"
        );
        assert_eq!(with_path("http://a/", "health"), "http://a/health");
        assert_eq!(
            with_path("http://a/x?token=1", "/h"),
            "http://a/x/h?token=1"
        );
    }

    #[test]
    fn the_inside_probe_is_a_program_that_reads_a_real_answer() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let length = connection.read(&mut head).unwrap();
            connection
                .write_all(b"HTTP/1.1 307 Moved\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        let probe = inside_probe(port, "a';touch${IFS}/x;'?q=1");
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(probe)
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout).trim(),
            "307",
            "{output:?}"
        );
        let head = server.join().unwrap();
        assert!(head.starts_with("GET /a"), "{head}");
    }
}
