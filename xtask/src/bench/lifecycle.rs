//! Create, first answer, destroy; and one command in a running sandbox.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

use super::peers::Docker;
use super::sample::Sample;
use super::{Api, Row};

const ROUNDS: usize = 20;
/// How long a broker may take to start on a busy machine.
const START: Duration = Duration::from_secs(120);
const LIFE: &str = "create, first answer of `true`, destroy";
const EXEC: &str = "`true` in a running sandbox";

/// Makes the first sandbox, and with it the template's layers.
pub async fn warm(api: &Api) -> Result<()> {
    let warm = json!({"template_id": "miosa-sandbox", "name": "warm"});
    let until = Instant::now() + START;
    // The broker may still be starting: the first create says so and is asked again.
    loop {
        let made = api
            .call(Method::POST, "/sandboxes?wait=true", Some(warm.clone()))
            .await;
        match made {
            Err(_) if Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            made => return made.map(|_| ()),
        }
    }
}

/// Measures miosa through its API, and crun, bubblewrap and Docker on the same root.
pub async fn measure(api: &Api, layers: &Path, folder: &Path) -> Result<Vec<Row>> {
    let root = base_layer(layers)?;
    let own = Sample::new(repeat(|| life(api)).await?);
    let mut rows = vec![own.row(LIFE, "miosa", None)];
    let bundle = crun_bundle(folder, &root)?;
    let crun = crun(&bundle, "run one");
    rows.push(
        timed(&crun)
            .await?
            .row(LIFE, "crun run", Some(own.median())),
    );
    let bwrap = format!(
        "bwrap --unshare-all --ro-bind {} / --proc /proc --dev /dev true",
        root.display()
    );
    rows.push(timed(&bwrap).await?.row(LIFE, "bwrap", Some(own.median())));
    if let Some(docker) = Docker::start(folder, &root).await? {
        rows.push(
            timed(&docker.run_line())
                .await?
                .row(LIFE, "docker run", Some(own.median())),
        );
    }
    rows.extend(exec(api, &bundle).await?);
    Ok(rows)
}

async fn life(api: &Api) -> Result<()> {
    let made = api
        .call(
            Method::POST,
            "/sandboxes?wait=true",
            Some(json!({"template_id": "miosa-sandbox"})),
        )
        .await?;
    let id = made["id"].as_str().context("no id")?;
    let answer = api
        .call(
            Method::POST,
            &format!("/sandboxes/{id}/exec"),
            Some(json!({"command": "true"})),
        )
        .await?;
    ensure!(answer["exit_code"] == 0, "{answer}");
    api.call(Method::DELETE, &format!("/sandboxes/{id}"), None)
        .await?;
    Ok(())
}

async fn exec(api: &Api, bundle: &Path) -> Result<Vec<Row>> {
    let made = api
        .call(
            Method::POST,
            "/sandboxes?wait=true",
            Some(json!({"template_id": "miosa-sandbox"})),
        )
        .await?;
    let path = format!("/sandboxes/{}/exec", made["id"].as_str().context("no id")?);
    let one = || async {
        api.call(Method::POST, &path, Some(json!({"command": "true"})))
            .await
            .map(|_| ())
    };
    let own = Sample::new(repeat(one).await?);
    let kept = bundle.with_file_name("kept");
    make_bundle(
        &kept,
        &fs_err::read_to_string(bundle.join("root"))?.trim().into(),
        &["sleep", "600"],
    )?;
    shell(&crun(&kept, "run --detach kept")).await?;
    let peer = timed(&crun(&kept, "exec kept true")).await?;
    shell(&crun(&kept, "delete --force kept")).await?;
    Ok(vec![
        own.row(EXEC, "miosa", None),
        peer.row(EXEC, "crun exec", Some(own.median())),
    ])
}

async fn repeat<F: Future<Output = Result<()>>>(
    mut one: impl FnMut() -> F,
) -> Result<Vec<Duration>> {
    let mut timings = Vec::with_capacity(ROUNDS);
    one().await?;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        one().await?;
        timings.push(start.elapsed());
    }
    Ok(timings)
}

async fn timed(line: &str) -> Result<Sample> {
    Ok(Sample::new(repeat(|| shell(line)).await?))
}

async fn shell(line: &str) -> Result<()> {
    let output = Command::new("sh").args(["-c", line]).output().await?;
    ensure!(
        output.status.success(),
        "`{line}`: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// The bootstrapped layer of the default template: the root that `true` comes from.
fn base_layer(layers: &Path) -> Result<PathBuf> {
    let folders = fs_err::read_dir(layers)?
        .flatten()
        .map(|entry| entry.path());
    folders
        .into_iter()
        .find(|folder| folder.join("usr/bin/true").exists())
        .context("no layer with `true`")
}

fn crun_bundle(folder: &Path, root: &PathBuf) -> Result<PathBuf> {
    let bundle = folder.join("crun");
    make_bundle(&bundle, root, &["true"])?;
    Ok(bundle)
}

fn make_bundle(bundle: &Path, root: &PathBuf, arguments: &[&str]) -> Result<()> {
    fs_err::create_dir_all(bundle)?;
    let mount = |kind: &str, at: &str| json!({"destination": at, "type": kind, "source": kind});
    let namespaces: Vec<_> = ["pid", "network", "ipc", "uts", "mount"]
        .iter()
        .map(|kind| json!({"type": kind}))
        .collect();
    let config = json!({"ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": arguments, "cwd": "/", "env": ["PATH=/usr/bin:/bin"]},
        "root": {"path": root, "readonly": true}, "hostname": "peer",
        "mounts": [mount("proc", "/proc"), mount("tmpfs", "/dev")], "linux": {"namespaces": namespaces}});
    fs_err::write(bundle.join("config.json"), config.to_string())?;
    fs_err::write(bundle.join("root"), root.display().to_string())?;
    Ok(())
}

/// crun refuses the hybrid control group layout, so it gets a mount namespace with a plain one.
fn crun(bundle: &Path, command: &str) -> String {
    let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
    let bundle = if verb == "run" {
        format!("--bundle {}", bundle.display())
    } else {
        String::new()
    };
    format!(
        "unshare -m sh -c 'mount -t cgroup2 none /sys/fs/cgroup && crun --root /run/miosa-bench-crun --cgroup-manager=disabled {verb} {bundle} {rest}' </dev/null >/dev/null 2>&1"
    )
}
