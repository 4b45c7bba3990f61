//! Everything a run of the catalogue needs, started and ready: servers, a real `miosa`, two sandboxes with
//! connectors attached, and the attack programs inside them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::canary::Canary;
use crate::rows::SECTIONS;
use crate::run::Options;
use crate::stand::{self, Stand};
use crate::world::{self, Settings, World};

/// Where the attack programs are inside a sandbox.
const PROGRAMS_DIR: &str = "/opt/miosa-selftest";
/// What attack programs use.
const LIBRARIES: [(&str, &str); 2] = [
    ("lib.py", include_str!("attack/lib.py")),
    ("protocols.py", include_str!("attack/protocols.py")),
];
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
        Ok(())
    }

    /// A running sandbox with all connectors of a run and the attack programs.
    pub async fn sandbox(&self, name: &str) -> Result<String> {
        let mut arguments = vec!["sandbox", "create", "--name", name, "--wait", "--json"];
        arguments.extend(["--network-policy", "deny-all"]);
        let mut hosts = vec![stand::ALLOWED, stand::ATTACKER];
        hosts.extend(stand::LOOKALIKES);
        for host in &hosts {
            arguments.extend(["--allowed-domain", host]);
        }
        let created = self.world.json(&arguments).await?;
        ensure!(created["state"] == "running", "not running: {created}");
        let id = created["id"].as_str().context("no id")?.to_owned();
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
            "zone": stand::ATTACKER_ZONE,
        })
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
