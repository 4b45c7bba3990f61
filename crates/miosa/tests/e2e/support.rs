//! The world all cases share, and the few calls they have in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use miosa_testkit::leftover;
use miosa_testkit::main_job;
use miosa_testkit::protocols::{self, PROTOCOLS_HOST, Protocols};
use miosa_testkit::registries;
use miosa_testkit::rig::Rig;
use miosa_testkit::world::{self, Settings, World};
use serde_json::Value;

use crate::agents;

/// The managed connector.
pub const MANAGED: &str = "refero/design-research";

/// A world with its local providers.
pub struct Stage {
    /// The server and its CLI.
    pub world: World,
    /// Provider, model, attacker.
    pub rig: Rig,
    /// Servers of gRPC and WebSocket.
    pub protocols: Protocols,
    /// Folder that outlives the world.
    pub cache: PathBuf,
    groups_before: Vec<PathBuf>,
}

impl Stage {
    /// Starts everything.
    pub async fn build() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let cache = target.join("cache");
        fs_err::create_dir_all(&cache)?;
        let folder = world::folder()?;
        let rig = Rig::start(
            folder.path(),
            &cache,
            vec![main_job::script(), agents::codex_script()],
        )
        .await?;
        let protocols = protocols::start(&rig.authority, &cache).await?;
        let mut flags = rig.flags();
        flags.push("--static-host".to_owned());
        flags.push(format!("{PROTOCOLS_HOST}:443={}", protocols.server.address));
        for range in registries::special_ranges(&root.join("templates"))? {
            flags.extend(["--allow-range".to_owned(), range]);
        }
        let groups_before = leftover::control_groups();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_miosa"));
        let world = World::start(
            folder,
            &Settings {
                program,
                cache: cache.clone(),
                flags,
                environment: Vec::new(),
            },
        )
        .await?;
        world
            .json_with_stdin(
                &["admin", "connectors", "set", MANAGED, "--stdin", "--json"],
                &rig.refero_token,
            )
            .await?;
        Ok(Self {
            world,
            rig,
            protocols,
            cache,
            groups_before,
        })
    }

    /// Ends everything; gives back what is left.
    pub async fn end(stage: Arc<Self>) -> Result<Vec<String>> {
        let Some(stage) = Arc::into_inner(stage) else {
            bail!("a case still holds the world")
        };
        let mut left = stage.world.end().await?;
        let groups = leftover::control_groups()
            .into_iter()
            .filter(|group| !stage.groups_before.contains(group));
        left.extend(groups.map(|group| format!("control group: {}", group.display())));
        Ok(left)
    }

    /// A running sandbox of the default template, destroyed by the world's end at the latest.
    pub async fn sandbox(&self, more: &[&str]) -> Result<String> {
        let mut arguments = vec!["sandbox", "create", "--wait", "--json"];
        arguments.extend(more);
        let created = self.world.json(&arguments).await?;
        ensure!(created["state"] == "running", "not running: {created}");
        Ok(created["id"].as_str().context("no id")?.to_owned())
    }

    /// What a shell text prints in a sandbox; it must end with 0.
    pub async fn shell(&self, sandbox: &str, text: &str) -> Result<String> {
        let answer = self.world.exec(sandbox, text).await?;
        ensure!(answer["exit_code"] == 0, "`{text}` gave {answer}");
        Ok(answer["stdout"]
            .as_str()
            .context("no stdout")?
            .trim_end()
            .to_owned())
    }

    /// Attaches a connector to a variable.
    pub async fn attach(&self, sandbox: &str, connector: &str, variable: &str) -> Result<Value> {
        self.world
            .json(&[
                "sandbox",
                "connectors",
                "attach",
                sandbox,
                connector,
                "--env",
                variable,
                "--json",
            ])
            .await
    }

    /// Makes a connector of one's own.
    pub async fn connector(&self, provider: &str, name: &str, value: &str) -> Result<Value> {
        self.world
            .json_with_stdin(
                &[
                    "connectors",
                    "create",
                    provider,
                    "--name",
                    name,
                    "--stdin",
                    "--json",
                ],
                value,
            )
            .await
    }

    /// Runs the CLI, which must fail with this exit code, and gives back the error object.
    pub async fn refused(&self, exit: i32, arguments: &[&str]) -> Result<Value> {
        let output = self.world.run(arguments).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.code() == Some(exit),
            "`miosa {}`: {} {text}",
            arguments.join(" "),
            output.status
        );
        let body: Value =
            serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))?;
        ensure!(
            body["ok"] == false
                && !body["error"]["message"]
                    .as_str()
                    .unwrap_or_default()
                    .is_empty(),
            "no sentence: {body}"
        );
        Ok(body["error"].clone())
    }

    /// A request with curl from inside: status and JSON body.
    pub async fn curl(&self, sandbox: &str, arguments: &str) -> Result<(u16, Value)> {
        let text = format!(
            "curl -sS -o /tmp/answer.$$ -w '%{{http_code}}\\n' {arguments}; cat /tmp/answer.$$"
        );
        let text = self.shell(sandbox, &text).await?;
        let (status, body) = text.split_once('\n').unwrap_or((&text, ""));
        Ok((
            status
                .trim()
                .parse()
                .with_context(|| format!("no status: {text}"))?,
            serde_json::from_str(body).unwrap_or_default(),
        ))
    }
}
