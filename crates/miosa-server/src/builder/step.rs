//! Runs one layer's commands in a sandbox over the layers below it.
//!
//! The sandbox is like any other: no wire but the broker, no privilege outside, limits. It may reach
//! the hosts its template names and nothing else. What it wrote is the layer; what the host mounted
//! for it, and what it left in temporary folders, is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use futures_util::{StreamExt, pin_mut};
use miosa_api::broker::{Effect, LISTENER_SOCKET, PolicyMode, Rule, SandboxPolicy};
use miosa_api::guest::ExecStart;
use miosa_api::id::SandboxId;
use miosa_api::limits::{SANDBOX_BOOT_TIMEOUT, SANDBOX_PIDS_MAX};
use miosa_runtime::{Network, SandboxSpec, Upper};

use super::BuildError;
use super::log::Told;
use super::plan::{Action, Layer};
use crate::guest::{Chunk, Guest};
use crate::oci::root::{Root, remove_children};
use crate::{ApiError, App, env};

const STEP_TIMEOUT: Duration = Duration::from_secs(30 * 60);
const MEMORY_MB: u32 = 4096;
const CPU_COUNT: u32 = 4;
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Folders of a root whose content never belongs to a layer.
const TEMPORARY: [&str; 7] = [".miosa", "dev", "proc", "run", "sys", "tmp", "var/tmp"];

/// Makes a layer's content in `root` by a sandbox over `below` (bottom up).
pub(super) async fn run(
    app: &App,
    tenant_id: &str,
    layer: &Layer,
    below: &[Layer],
    root: &Path,
    told: &Told,
) -> Result<(), BuildError> {
    let id = SandboxId::new();
    let outcome = tokio::select! {
        outcome = in_sandbox(app, &id, tenant_id, layer, below, root, told) => outcome,
        () = app.shutdown.cancelled() => Err(BuildError::Ended),
    };
    // Nothing of the sandbox may write to the layer any more when it is looked at.
    app.runtime.destroy(&id).await.map_err(ApiError::from)?;
    if let Err(error) = app.broker.delete(id.as_str()).await {
        tracing::warn!(sandbox = %id, %error, "the broker was not told of a build's end");
    }
    outcome
}

async fn in_sandbox(
    app: &App,
    id: &SandboxId,
    tenant_id: &str,
    layer: &Layer,
    below: &[Layer],
    root: &Path,
    told: &Told,
) -> Result<(), BuildError> {
    let applied = app
        .broker
        .put(id.as_str(), &policy(app, tenant_id, &layer.hosts))
        .await?;
    let spec = spec(app, id, layer, below, root, &applied.ca_pem).await?;
    let guest = app.guest(id.as_str());
    let started = tokio::time::timeout(SANDBOX_BOOT_TIMEOUT, async {
        app.runtime.start(&spec).await.map_err(ApiError::from)?;
        while guest.health().await.is_err() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok::<_, BuildError>(())
    });
    started
        .await
        .map_err(|_| BuildError::Timeout(SANDBOX_BOOT_TIMEOUT))??;
    match &layer.action {
        Action::Files(files) => write(&guest, files).await,
        Action::Run(text) => {
            let step = execute(&guest, text, layer, environment(app, id, layer), told);
            tokio::time::timeout(STEP_TIMEOUT, step)
                .await
                .map_err(|_| BuildError::Timeout(STEP_TIMEOUT))?
        }
        Action::Bootstrap { .. } | Action::Pull { .. } => Ok(()),
    }
}

async fn spec(
    app: &App,
    id: &SandboxId,
    layer: &Layer,
    below: &[Layer],
    root: &Path,
    ca_pem: &str,
) -> Result<SandboxSpec, BuildError> {
    let folder = app.runtime.sandbox_dir(id);
    fs_err::tokio::create_dir_all(&folder).await?;
    let (bundle, ca) = (folder.join("ca-bundle.pem"), folder.join("ca.pem"));
    let mut merged = fs_err::tokio::read(&app.config.host_ca_bundle).await?;
    merged.push(b'\n');
    merged.extend_from_slice(ca_pem.as_bytes());
    fs_err::tokio::write(&bundle, merged).await?;
    fs_err::tokio::write(&ca, ca_pem).await?;
    Ok(SandboxSpec {
        id: id.clone(),
        generation: 1,
        layers: super::layers(app).paths(below),
        below: Vec::new(),
        disk_epoch: 0,
        upper: Upper::Folder(root.to_owned()),
        memory_mb: MEMORY_MB,
        cpu_count: CPU_COUNT,
        pids_max: SANDBOX_PIDS_MAX,
        hostname: "build".to_owned(),
        workdir: layer.workdir.clone(),
        network: Network::Broker(app.config.run_dir.join(LISTENER_SOCKET)),
        ca_bundle: Some(bundle),
        ca: Some(ca),
    })
}

async fn write(guest: &Guest, files: &BTreeMap<String, String>) -> Result<(), BuildError> {
    for (path, text) in files {
        guest.write(path, None, Body::from(text.clone())).await?;
    }
    Ok(())
}

fn environment(app: &App, id: &SandboxId, layer: &Layer) -> BTreeMap<String, String> {
    let mut env = env::base(&layer.env, id.as_str());
    env.extend(app.config.build.env.clone());
    env
}

async fn execute(
    guest: &Guest,
    text: &str,
    layer: &Layer,
    env: BTreeMap<String, String>,
    told: &Told,
) -> Result<(), BuildError> {
    let start = ExecStart {
        shell: Some(text.to_owned()),
        cwd: Some(layer.workdir.clone()),
        env,
        name: Some("build".to_owned()),
        ..ExecStart::default()
    };
    let process = guest.start(&start).await?;
    let output = guest.output(&process.id, 0, true).await?;
    pin_mut!(output);
    let mut lines = Lines::default();
    while let Some(piece) = output.next().await {
        match piece?.1 {
            Chunk::Stdout(bytes) | Chunk::Stderr(bytes) => lines.push(&bytes, told),
            Chunk::End(exit) => {
                lines.flush(told);
                return if exit.code == 0 {
                    Ok(())
                } else {
                    Err(BuildError::Step { code: exit.code })
                };
            }
        }
    }
    Err(BuildError::Lost)
}

/// Cuts output into lines; what a terminal would overwrite (`\r`) is a line too.
#[derive(Default)]
struct Lines(Vec<u8>);

impl Lines {
    const BYTES_MAX: usize = 8192;

    fn push(&mut self, bytes: &[u8], told: &Told) {
        for byte in bytes {
            if matches!(byte, b'\n' | b'\r') || self.0.len() >= Self::BYTES_MAX {
                self.flush(told);
            }
            if !matches!(byte, b'\n' | b'\r') {
                self.0.push(*byte);
            }
        }
    }

    fn flush(&mut self, told: &Told) {
        told.line(&String::from_utf8_lossy(&self.0));
        self.0.clear();
    }
}

/// A build may reach its template's hosts, and those the operator put into the build's variables (a mirror).
fn policy(app: &App, tenant_id: &str, hosts: &[String]) -> SandboxPolicy {
    let mirrors = app.config.build.env.values().filter_map(|value| {
        let url = url::Url::parse(value).ok()?;
        url.host_str().map(ToOwned::to_owned)
    });
    let rule = |(at, host)| Rule {
        id: format!("build:{at}"),
        policy_id: None,
        host,
        effect: Effect::Allow,
        methods: Vec::new(),
        path: None,
    };
    SandboxPolicy {
        generation: 1,
        tenant_id: tenant_id.to_owned(),
        mode: PolicyMode::Enforce,
        mode_policy_id: None,
        rules: hosts
            .iter()
            .cloned()
            .chain(mirrors)
            .enumerate()
            .map(rule)
            .collect(),
        bindings: Vec::new(),
    }
}

/// Empties temporary folders of what was written. Links in it lead nowhere outside.
pub(super) fn strip(root: &Path) -> std::io::Result<()> {
    let root = Root::open(root)?;
    for name in TEMPORARY {
        if let Some(folder) = root.existing_folder(Path::new(name))? {
            remove_children(folder)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use super::{Lines, strip};
    use crate::builder::log::{Log, Told, read};

    #[test]
    fn temporary_folders_are_emptied_and_links_not_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        for folder in ["tmp/deep", "run", "workspace"] {
            fs_err::create_dir_all(root.join(folder)).expect("a folder");
            fs_err::write(root.join(folder).join("file"), "x").expect("a file");
        }
        fs_err::create_dir(&outside).expect("a folder");
        fs_err::write(outside.join("file"), "x").expect("a file");
        symlink(&outside, root.join("dev")).expect("a link");
        symlink("../outside", root.join("sys")).expect("a link");
        symlink(&outside, root.join("tmp/link")).expect("a link");
        strip(&root).expect("strips");
        assert_eq!(
            fs_err::read_dir(root.join("tmp"))
                .expect("a folder")
                .count(),
            0
        );
        assert_eq!(
            fs_err::read_dir(root.join("run"))
                .expect("a folder")
                .count(),
            0
        );
        assert!(root.join("workspace/file").exists());
        assert!(outside.join("file").exists());
    }

    #[test]
    fn output_is_cut_into_lines_wherever_pieces_end() {
        let dir = tempfile::tempdir().expect("a folder");
        let log = Arc::new(Log::create(dir.path(), "b").expect("a file"));
        let told = Told::new(log.clone());
        let mut lines = Lines::default();
        for piece in ["one\ntw", "o\r", "three"] {
            lines.push(piece.as_bytes(), &told);
        }
        lines.flush(&told);
        let said: Vec<_> = read(log.path(), 0)
            .into_iter()
            .map(|event| event.message)
            .collect();
        assert_eq!(said, ["one", "two", "three"]);
    }
}
