//! Bad input and accidents: a stable code, a sentence, a hint, and nothing half-made.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use crate::support::{MANAGED, Stage};

pub async fn unknown_things_have_a_code_and_a_hint(stage: Arc<Stage>) -> Result<()> {
    let cases: [(&[&str], &str); 4] = [
        (
            &[
                "sandbox",
                "create",
                "--template",
                "no-such-template",
                "--json",
            ],
            "TEMPLATE_NOT_FOUND",
        ),
        (
            &[
                "sandbox",
                "show",
                "0198c0de-0000-7000-8000-000000000000",
                "--json",
            ],
            "NOT_FOUND",
        ),
        (
            &["connectors", "show", "nobody/nothing", "--json"],
            "CONNECTOR_NOT_FOUND",
        ),
        (
            &["sandbox", "create", "--no-such-flag", "--json"],
            "CLI_USAGE_ERROR",
        ),
    ];
    for (arguments, code) in cases {
        let error = stage.refused(1, arguments).await?;
        ensure!(error["code"] == code, "{arguments:?} gave {error}");
    }
    Ok(())
}

pub async fn paths_outside_the_root_are_refused(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    stage
        .shell(
            &id,
            "ln -s /etc/hostname /workspace/link && ln -s / /workspace/root",
        )
        .await?;
    let inside = stage
        .world
        .run(&[
            "sandbox",
            "read-file",
            &id,
            "/workspace/../../../../etc/hostname",
        ])
        .await?;
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    ensure!(
        !host.trim().is_empty() && !String::from_utf8_lossy(&inside.stdout).contains(host.trim()),
        "the host's own file came out"
    );
    let through_link = stage
        .world
        .run(&["sandbox", "read-file", &id, "/workspace/root/etc/hostname"])
        .await?;
    ensure!(
        !String::from_utf8_lossy(&through_link.stdout).contains(host.trim()),
        "the host's own file came out through a link"
    );
    let error = stage
        .refused(
            1,
            &[
                "sandbox",
                "write-file",
                &id,
                "/workspace/nul\u{1}\n",
                "x",
                "--json",
            ],
        )
        .await;
    ensure!(
        error.is_err()
            || error
                .as_ref()
                .is_ok_and(|error| error["code"] == "INVALID_PATH"),
        "{error:?}"
    );
    let error = stage
        .refused(1, &["sandbox", "read-file", &id, "/no/such/file", "--json"])
        .await?;
    ensure!(error["code"] == "FILE_NOT_FOUND", "{error}");
    Ok(())
}

pub async fn loader_names_and_bad_secrets_are_refused(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    for name in ["LD_PRELOAD", "PATH", "HTTPS_PROXY", "NODE_OPTIONS", "1BAD"] {
        let error = stage
            .refused(
                1,
                &[
                    "sandbox",
                    "connectors",
                    "attach",
                    &id,
                    MANAGED,
                    "--env",
                    name,
                    "--json",
                ],
            )
            .await?;
        ensure!(error["code"] == "INVALID_ENV_NAME", "{name}: {error}");
    }
    for (value, what) in [
        ("", "empty"),
        ("two\nlines-of-secret", "multi-line"),
        ("schlüssel-mit-umlaut", "non-ASCII"),
    ] {
        let output = stage.connector("openai", "bad", value).await;
        let error = output
            .err()
            .with_context(|| format!("an {what} secret was taken"))?
            .to_string();
        ensure!(
            value.is_empty() || !error.contains(value),
            "the error repeats the secret"
        );
    }
    let list = stage.world.json(&["connectors", "list", "--json"]).await?;
    ensure!(
        !list.to_string().contains("openai/bad"),
        "a half-made connector is listed"
    );
    Ok(())
}

pub async fn a_full_disk_is_an_error_of_that_sandbox_alone(stage: Arc<Stage>) -> Result<()> {
    let small = stage.sandbox(&["--disk", "256mb"]).await?;
    let other = stage.sandbox(&[]).await?;
    let full = stage
        .world
        .exec(
            &small,
            "dd if=/dev/zero of=/workspace/big bs=1M count=512 2>&1",
        )
        .await?;
    ensure!(
        full["exit_code"] != 0
            && full["stdout"]
                .as_str()
                .unwrap_or_default()
                .contains("No space left"),
        "{full}"
    );
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("file");
    fs_err::write(&file, vec![7; 4 << 20])?;
    let error = stage
        .refused(
            4,
            &[
                "sandbox",
                "upload",
                &small,
                &file.to_string_lossy(),
                "/workspace/file",
                "--json",
            ],
        )
        .await?;
    ensure!(error["code"] == "DISK_FULL", "{error}");
    stage
        .shell(
            &small,
            "rm /workspace/big; ls /workspace; test ! -e /workspace/file",
        )
        .await?;
    stage
        .shell(
            &other,
            "dd if=/dev/zero of=/workspace/fine bs=1M count=300 2>/dev/null",
        )
        .await?;
    Ok(())
}

pub async fn a_gibibyte_goes_up_in_constant_memory(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("big");
    fs_err::File::create(&file)?.set_len(1 << 30)?;
    let before = peak_memory(&stage)?;
    stage
        .world
        .json(&[
            "sandbox",
            "upload",
            &id,
            &file.to_string_lossy(),
            "/workspace/big",
            "--json",
        ])
        .await?;
    let after = peak_memory(&stage)?;
    ensure!(
        stage.shell(&id, "stat -c %s /workspace/big").await? == (1u64 << 30).to_string(),
        "not all bytes arrived"
    );
    ensure!(
        after < before + (200 << 10),
        "the server grew from {before} to {after} KiB"
    );
    Ok(())
}

/// Peak resident memory of the server, in KiB.
fn peak_memory(stage: &Stage) -> Result<u64> {
    let pid = stage.world.server_pid().context("the server has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .context("no VmHWM")?;
    line.split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .context("no number")
}
