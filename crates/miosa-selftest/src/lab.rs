//! Everything a run of the catalogue needs, started and ready: servers, a real `miosa`, two sandboxes with
//! connectors attached, and the attack programs inside them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::canary::Canary;
use crate::rows::SECTIONS;
use crate::run::Options;
use crate::stand::{self, Stand};
use crate::world::{self, Settings, World};

/// Where the attack programs are inside a sandbox.
const PROGRAMS_DIR: &str = "/opt/miosa-selftest";
/// How long a new broker may take.
const BROKER_RESTART_MAX: Duration = Duration::from_secs(30);
/// How long a request to the server may take.
const HTTP_MAX: Duration = Duration::from_secs(30);
/// How long the audit may lag behind an answer.
const AUDIT_LAG_MAX: Duration = Duration::from_secs(3);
/// Time between two looks at something that changes.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What attack programs use.
const LIBRARIES: [(&str, &str); 3] = [
    ("aws.py", include_str!("attack/aws.py")),
    ("lib.py", include_str!("attack/lib.py")),
    ("protocols.py", include_str!("attack/protocols.py")),
];
/// A definition with a place no shipped one has.
const DEFINITION: (&str, &str) = ("query.toml", include_str!("stand/query.toml"));
/// Connectors of a run: uid, variable, beginning of the value.
const MANAGED: (&str, &str, &str) = ("refero/design-research", "REFERO_MCP_TOKEN", "rfr_");
const OWN: [(&str, &str, &str); 3] = [
    ("github", "GITHUB_TOKEN", "ghp_"),
    ("anthropic", "ANTHROPIC_API_KEY", "sk-ant-"),
    ("openai", "OPENAI_API_KEY", "sk-"),
];

/// A running laboratory.
pub struct Lab {
    /// The real program.
    pub world: World,
    /// Local servers.
    pub stand: Stand,
    /// Real values of this run.
    pub canaries: Vec<Canary>,
    /// Id of the sandbox attacks start from; it is enforced.
    pub first: String,
    /// Id of another sandbox of the same tenant, with bindings of its own.
    pub second: String,
}

impl Lab {
    /// Starts everything.
    pub async fn start(options: &Options) -> Result<Self> {
        let folder = world::folder()?;
        let stand = Stand::start(folder.path()).await?;
        let mut flags = stand.flags();
        let definitions = folder.path().join("connectors");
        fs_err::create_dir(&definitions)?;
        fs_err::write(definitions.join(DEFINITION.0), DEFINITION.1)?;
        flags.extend([
            "--connectors-dir".to_owned(),
            definitions.display().to_string(),
        ]);
        for range in &options.allow_ranges {
            flags.extend(["--allow-range".to_owned(), range.clone()]);
        }
        let mut settings = Settings::new(options.program.clone(), options.cache.clone());
        settings.flags = flags;
        settings
            .environment
            .push(("MIOSA_LOG".to_owned(), "trace".to_owned()));
        if !options.weaken.is_empty() {
            settings
                .environment
                .push(("MIOSA_WEAKEN".to_owned(), options.weaken.join(",")));
        }
        let world = World::start(folder, &settings).await?;
        let mut lab = Self {
            world,
            stand,
            canaries: Vec::new(),
            first: String::new(),
            second: String::new(),
        };
        lab.store_values().await?;
        lab.first = lab.sandbox("first").await?;
        lab.second = lab.sandbox("second").await?;
        Ok(lab)
    }

    async fn store_values(&mut self) -> Result<()> {
        let (uid, _, prefix) = MANAGED;
        let canary = Canary::new(uid, prefix);
        let set = ["admin", "connectors", "set", uid, "--stdin", "--json"];
        self.world.json_with_stdin(&set, canary.value()).await?;
        self.canaries.push(canary);
        for (provider, _, prefix) in OWN {
            let canary = Canary::new(provider, prefix);
            let create = [
                "connectors",
                "create",
                provider,
                "--name",
                "selftest",
                "--stdin",
                "--json",
            ];
            self.world.json_with_stdin(&create, canary.value()).await?;
            self.canaries.push(canary);
        }
        let keys = self.stand.aws.json();
        let create = ["connectors", "create", "aws", "--name", "selftest"];
        let create = [&create[..], &["--stdin", "--json"]].concat();
        self.world.json_with_stdin(&create, &keys).await?;
        let (id, secret) = (&self.stand.aws.id, &self.stand.aws.secret);
        self.canaries.push(Canary::of("aws", id.clone()));
        self.canaries.push(Canary::of("aws-secret", secret.clone()));
        for name in ["spare-old", "spare-new"] {
            self.canaries.push(Canary::new(name, "ghp_"));
        }
        Ok(())
    }

    /// A running sandbox with the attack programs and nothing attached; enforced unless told otherwise.
    pub async fn bare(&self, flags: &[&str]) -> Result<String> {
        let mut arguments = vec!["sandbox", "create", "--wait", "--json"];
        arguments.extend(flags);
        let created = self.world.json(&arguments).await?;
        ensure!(created["state"] == "running", "not running: {created}");
        let id = created["id"].as_str().context("no id")?.to_owned();
        self.upload(&id).await?;
        Ok(id)
    }

    /// As [`Lab::bare`], with the managed connector attached.
    pub async fn bound(&self) -> Result<String> {
        let id = self.bare(&["--network-policy", "deny-all"]).await?;
        self.attach(&id, MANAGED.0, MANAGED.1).await?;
        Ok(id)
    }

    /// Destroys a sandbox.
    pub async fn destroy(&self, sandbox: &str) -> Result<()> {
        self.world
            .json(&["sandbox", "delete", sandbox, "--json"])
            .await
            .map(drop)
    }

    /// A running sandbox with all connectors of a run and the attack programs.
    async fn sandbox(&self, name: &str) -> Result<String> {
        let mut flags = vec!["--name", name, "--network-policy", "deny-all"];
        let mut hosts = vec![stand::ALLOWED, stand::ATTACKER];
        hosts.extend(stand::LOOKALIKES);
        let zone = format!("*.{}", stand::ATTACKER_ZONE);
        hosts.push(&zone);
        for host in &hosts {
            flags.extend(["--allowed-domain", host]);
        }
        let id = self.bare(&flags).await?;
        self.attach(&id, MANAGED.0, MANAGED.1).await?;
        for (provider, variable, _) in OWN {
            self.attach(&id, &format!("{provider}/selftest"), variable)
                .await?;
        }
        self.upload(&id).await?;
        Ok(id)
    }

    /// Attaches a connector.
    pub async fn attach(&self, sandbox: &str, uid: &str, variable: &str) -> Result<Value> {
        let attach = [
            "sandbox",
            "connectors",
            "attach",
            sandbox,
            uid,
            "--env",
            variable,
            "--json",
        ];
        self.world.json(&attach).await
    }

    async fn upload(&self, sandbox: &str) -> Result<()> {
        let programs = SECTIONS.iter().map(|section| section.program);
        for (name, text) in programs.chain(LIBRARIES) {
            let local = self.world.folder().join(name);
            fs_err::write(&local, text)?;
            let inside = format!("{PROGRAMS_DIR}/{name}");
            let local = local.display().to_string();
            self.world
                .json(&["sandbox", "write-file", sandbox, &inside, &local, "--json"])
                .await?;
        }
        Ok(())
    }

    /// What a variable is inside a sandbox: a placeholder.
    pub async fn variable(&self, sandbox: &str, name: &str) -> Result<String> {
        let answer = self
            .world
            .exec(sandbox, &format!("printf %s \"${name}\""))
            .await?;
        Ok(answer["stdout"].as_str().unwrap_or_default().to_owned())
    }

    /// Runs an attack program; what `exec --json` says.
    pub async fn python(&self, sandbox: &str, program: &str, call: &Value) -> Result<Value> {
        let program = format!("{PROGRAMS_DIR}/{program}");
        let call = call.to_string();
        let exec = [
            "sandbox", "exec", sandbox, "--json", "--", "python3", &program, &call,
        ];
        let output = self.world.run(&exec).await?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let (out, error) = (&output.stdout, &output.stderr);
            format!(
                "exec said: {}{}",
                String::from_utf8_lossy(out),
                String::from_utf8_lossy(error)
            )
        })
    }

    /// Names of the hosts, for the attack programs.
    #[must_use]
    pub fn names(&self) -> Value {
        json!({
            "bound": stand::BOUND,
            "wide": stand::WIDE,
            "git": stand::GIT,
            "model": stand::MODEL,
            "faulty": stand::FAULTY,
            "allowed": stand::ALLOWED,
            "attacker": stand::ATTACKER,
            "attacker_address": stand::ATTACKER_ADDRESS,
            "lookalikes": stand::LOOKALIKES,
            "attacker_port": self.stand.attacker.tls.port(),
            "query": stand::QUERY,
            "s3": stand::S3,
            "zone": stand::ATTACKER_ZONE,
        })
    }

    /// The broker's process.
    pub fn broker(&self) -> Result<Pid> {
        let folder = self.world.folder().to_string_lossy().into_owned();
        for process in std::fs::read_dir("/proc")?.flatten() {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            if line.split('\0').nth(1) == Some("egress") && line.contains(&folder) {
                let pid = process.file_name().to_string_lossy().parse().ok();
                return pid.and_then(Pid::from_raw).context("not a process");
            }
        }
        bail!("the broker does not run")
    }

    /// The first process of a sandbox, as this machine sees it.
    pub fn guest(&self, sandbox: &str) -> Result<i64> {
        let state = self
            .world
            .folder()
            .join("run/sandboxes")
            .join(sandbox)
            .join("state.json");
        let state: Value = serde_json::from_slice(&fs_err::read(state)?)?;
        state["init"]["pid"].as_i64().context("no first process")
    }

    /// Kills the broker and waits until another one has every sandbox's listeners.
    pub async fn restart_broker(&self) -> Result<()> {
        let before = self.broker()?;
        kill_process(before, Signal::KILL)?;
        self.wait_for_broker(before).await
    }

    /// Waits for a broker other than `before` that serves the first sandbox.
    pub async fn wait_for_broker(&self, before: Pid) -> Result<()> {
        let deadline = Instant::now() + BROKER_RESTART_MAX;
        loop {
            let is_new = self.broker().is_ok_and(|pid| pid != before);
            // Without a rule for it the answer is the broker's own: it has listeners and policy again.
            let probe = "curl -sk --max-time 2 https://unlisted.example/";
            if is_new
                && self.world.exec(&self.first, probe).await?["stdout"]
                    .to_string()
                    .contains("EGRESS_HOST_NOT_ALLOWED")
            {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "no new broker");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Sends a request to the server as it is; the whole answer.
    pub async fn http(&self, request: &str) -> Result<String> {
        let address = self.api_address()?;
        let exchange = async {
            let mut stream = TcpStream::connect(&address).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        tokio::time::timeout(HTTP_MAX, exchange)
            .await
            .context("no end of the answer")?
    }

    /// A call of the API with a key: status and body.
    pub async fn api(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Result<(u16, Value)> {
        let (host, body) = (self.api_address()?, body.to_string());
        let request = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let answer = self.http(&request).await?;
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let text = answer.split_once("\r\n\r\n").map_or("", |(_, text)| text);
        let json = text
            .find('{')
            .and_then(|start| Some(&text[start..=text.rfind('}')?]));
        let json = serde_json::from_str(json.unwrap_or_default()).unwrap_or_default();
        Ok((status.context("no status")?, json))
    }

    /// Address of the API.
    pub fn api_address(&self) -> Result<String> {
        let endpoint = self.setting("endpoint")?;
        Ok(endpoint
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned())
    }

    /// A setting of the CLI, such as its key.
    pub fn setting(&self, name: &str) -> Result<String> {
        let file = self.world.folder().join(".miosa/config.json");
        let config: Value = serde_json::from_slice(&fs_err::read(file)?)?;
        Ok(config[name].as_str().context("no such setting")?.to_owned())
    }

    /// Logs of server and broker so far.
    #[must_use]
    pub fn logs(&self) -> String {
        let broker = std::fs::read(self.data_dir().join("log/egress.log")).unwrap_or_default();
        self.world.log() + &String::from_utf8_lossy(&broker)
    }

    /// Waits a little for a code in the audit: what is not about a credential is written soon, not at once,
    /// and a broker that is killed takes it along.
    pub async fn audit_has(&self, code: &str, offset: u64) {
        let deadline = Instant::now() + AUDIT_LAG_MAX;
        let is_there = || {
            let events = audit_since(&self.audit_file(), offset);
            events.iter().any(|event| event["code"] == code)
        };
        while !is_there() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The broker's audit file.
    #[must_use]
    pub fn audit_file(&self) -> PathBuf {
        self.world.folder().join(".miosa/data/audit/egress.jsonl")
    }

    /// Folder of everything the server stores.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.world.folder().join(".miosa/data")
    }

    /// The value of a connector.
    #[must_use]
    pub fn canary(&self, connector: &str) -> &Canary {
        let found = self
            .canaries
            .iter()
            .find(|canary| canary.connector == connector);
        found.expect("a connector of the run")
    }
}

/// Lines of the audit after the first `offset` bytes.
pub fn audit_since(file: &Path, offset: u64) -> Vec<Value> {
    let bytes = std::fs::read(file).unwrap_or_default();
    let start = usize::try_from(offset)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let lines = bytes[start..].split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect()
}
