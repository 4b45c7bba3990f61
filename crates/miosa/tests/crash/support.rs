//! The world all cases share, and the few calls they have in common.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use miosa_testkit::registries;
use miosa_testkit::rig::Rig;
use miosa_testkit::world::{self, Settings, World};
use serde_json::Value;

/// The managed connector.
pub const MANAGED: &str = "refero/design-research";
/// Variable it is attached to.
pub const VARIABLE: &str = "REFERO_MCP_TOKEN";
/// Prints the status of a request that is 200 only when the broker put the credential in.
pub const PROBE: &str = r#"curl -s -o /dev/null -w '%{http_code}\n' --max-time 2 -H "Authorization: Bearer $REFERO_MCP_TOKEN" -X POST https://api.refero.design/mcp -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' -d '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}'"#;
/// How long anything that is waited for may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A world with its local providers.
pub struct Stage {
    /// The server and its CLI.
    pub world: World,
    /// Ids of sandboxes that were there when a server was killed.
    pub known: BTreeSet<String>,
    /// Provider, model, attacker.
    pub rig: Rig,
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
        let rig = Rig::start(folder.path(), &cache, Vec::new()).await?;
        let mut flags = rig.flags();
        for range in registries::special_ranges(&root.join("templates"))? {
            flags.extend(["--allow-range".to_owned(), range]);
        }
        let settings = Settings {
            program: PathBuf::from(env!("CARGO_BIN_EXE_miosa")),
            cache,
            flags,
            environment: Vec::new(),
        };
        let world = World::start(folder, &settings).await?;
        let set = ["admin", "connectors", "set", MANAGED, "--stdin", "--json"];
        world.json_with_stdin(&set, &rig.refero_token).await?;
        Ok(Self {
            world,
            known: BTreeSet::new(),
            rig,
        })
    }

    /// Ends everything; gives back what is left.
    pub async fn end(self) -> Result<Vec<String>> {
        let orphans = self.ids_on_host();
        let mut left = self.world.end().await?;
        for id in orphans {
            let groups = miosa_testkit::leftover::control_groups().into_iter();
            let own = groups.filter(|group| group.ends_with(&id));
            left.extend(own.map(|group| format!("control group: {}", group.display())));
        }
        Ok(left)
    }

    /// Kills the server and starts it again.
    pub async fn restart(&mut self) -> Result<()> {
        self.world.kill_server().await?;
        self.world.start_server().await
    }

    /// A running sandbox.
    pub async fn sandbox(&self) -> Result<String> {
        let create = ["sandbox", "create", "--wait", "--json"];
        let created = self.world.json(&create).await?;
        ensure!(created["state"] == "running", "not running: {created}");
        Ok(created["id"].as_str().context("no id")?.to_owned())
    }

    /// A running sandbox with the connector, whose probe passes.
    pub async fn connected(&self) -> Result<String> {
        let id = self.sandbox().await?;
        let attach = [
            "sandbox",
            "connectors",
            "attach",
            &id,
            MANAGED,
            "--env",
            VARIABLE,
            "--json",
        ];
        self.world.json(&attach).await?;
        ensure!(
            self.shell(&id, PROBE).await? == "200",
            "the connector does not work at all"
        );
        Ok(id)
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

    /// A sandbox as the API shows it.
    pub async fn show(&self, id: &str) -> Result<Value> {
        self.world.json(&["sandbox", "get", id, "--json"]).await
    }

    /// All sandboxes that the database lists as live: id and state.
    pub async fn listed(&self) -> Result<Vec<(String, String)>> {
        let list = self.world.json(&["sandbox", "list", "--json"]).await?;
        let rows = list.as_array().context("no list")?.iter();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        Ok(rows
            .map(|row| (text(row, "id"), text(row, "state")))
            .filter(|(_, state)| state != "destroyed")
            .collect())
    }

    /// Destroys a sandbox; nothing of it may be left.
    pub async fn destroy(&self, id: &str) -> Result<()> {
        let output = self.world.run(&["sandbox", "delete", id, "--json"]).await?;
        ensure!(
            output.status.success(),
            "delete: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        let left = self.remains(id);
        ensure!(left.is_empty(), "left of {id}:\n{}", left.join("\n"));
        Ok(())
    }
}

/// Waits until `look` gives something.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let looking = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .with_context(|| format!("never: {what}"))?
}
