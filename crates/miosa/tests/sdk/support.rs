//! The world the programs share, and how one is run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use miosa_testkit::rig::Rig;
use miosa_testkit::world::{self, Settings, World};
use miosa_testkit::{leftover, registries};
use serde_json::Value;

use crate::python;

/// The managed connector.
const MANAGED: &str = "refero/design-research";
/// How long one program may take; all of them run at once on few cores.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(240);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program in one of the SDK's two styles.
pub struct Program {
    file: PathBuf,
    style: &'static str,
}

impl Program {
    /// All programs of `tests/sdk`, in both styles; what begins with `_` is a part of others.
    pub fn all() -> Result<Vec<Self>> {
        let mut files = Vec::new();
        for entry in fs_err::read_dir(root().join("tests/sdk"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !name.starts_with('_') && path.extension().is_some_and(|ext| ext == "py") {
                files.push(path);
            }
        }
        ensure!(!files.is_empty(), "tests/sdk holds none");
        files.sort();
        let styles = |file: PathBuf| {
            ["sync", "async"].map(|style| Self {
                file: file.clone(),
                style,
            })
        };
        Ok(files.into_iter().flat_map(styles).collect())
    }

    /// As it is reported: `files::sync`.
    pub fn name(&self) -> String {
        let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
        format!("{stem}::{}", self.style)
    }
}

/// A world with its local providers and the SDK.
pub struct Stage {
    world: World,
    rig: Rig,
    python: PathBuf,
    endpoint: String,
    groups_before: Vec<PathBuf>,
}

impl Stage {
    /// Starts everything.
    pub async fn build() -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root().join("target"), PathBuf::from);
        let cache = target.join("cache");
        fs_err::create_dir_all(&cache)?;
        let python = python::interpreter(
            &cache,
            "python-sdk",
            &root().join("tests/sdk/requirements.txt"),
        )?;
        let folder = world::folder()?;
        let rig = Rig::start(folder.path(), &cache, Vec::new()).await?;
        let mut settings = Settings::new(PathBuf::from(env!("CARGO_BIN_EXE_miosa")), cache);
        settings.flags = rig.flags();
        for range in registries::special_ranges(&root().join("templates"))? {
            settings.flags.extend(["--allow-range".to_owned(), range]);
        }
        let groups_before = leftover::control_groups();
        let world = World::start(folder, &settings).await?;
        world
            .json_with_stdin(
                &["admin", "connectors", "set", MANAGED, "--stdin", "--json"],
                &rig.refero_token,
            )
            .await?;
        let config = fs_err::read(world.folder().join(".miosa/config.json"))?;
        let config: Value = serde_json::from_slice(&config)?;
        let endpoint = config["endpoint"]
            .as_str()
            .context("no endpoint")?
            .to_owned();
        Ok(Self {
            world,
            rig,
            python,
            endpoint,
            groups_before,
        })
    }

    /// A key for one program, made as a user makes one.
    async fn key(&self, program: &Program) -> Result<String> {
        let config = fs_err::read(self.world.folder().join(".miosa/config.json"))?;
        let config: Value = serde_json::from_slice(&config)?;
        let key = config["api_key"].as_str().context("no key")?;
        let client =
            "import miosa, sys; print(miosa.Miosa().api_keys.create(name=sys.argv[1])['key'])";
        let output = tokio::process::Command::new(&self.python)
            .args(["-c", client, &program.name()])
            .env("MIOSA_BASE_URL", &self.endpoint)
            .env("MIOSA_API_KEY", key)
            .output()
            .await?;
        ensure!(
            output.status.success(),
            "no key: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Runs a program, which must end with 0.
    pub async fn run(&self, program: &Program) -> Result<()> {
        let key = self.key(program).await?;
        let child = tokio::process::Command::new(&self.python)
            .arg("-B")
            .arg(&program.file)
            .env("MIOSA_BASE_URL", &self.endpoint)
            .env("MIOSA_API_KEY", key)
            .env("MIOSA_TEST_STYLE", program.style)
            .env("MIOSA_TEST_REFERO_TOKEN", &self.rig.refero_token)
            .env("MIOSA_TEST_MODEL_KEY", &self.rig.model_key)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PROGRAM_TIMEOUT, child)
            .await
            .context("it hangs")??;
        if output.status.success() {
            return Ok(());
        }
        bail!(
            "{}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
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
}
