//! Starting a sandbox: its files, its shim, and the shim's answer.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use miosa_api::limits::SANDBOX_BOOT_TIMEOUT;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::{Container, Inner, group, snapshot, stop};
use crate::error::{RuntimeError, Step};
use crate::files::{Ended, Launch, Report, SandboxFiles, read_json, write_json};
use crate::probe::HOST_PATH;
use crate::runtime::{SandboxSpec, Started, Upper};
use crate::{bundle, disk, uids};

/// Starts the sandbox, or leaves what was there before.
pub(super) async fn start(
    runtime: &Container,
    spec: &SandboxSpec,
) -> Result<Started, RuntimeError> {
    let wanted = spec.clone();
    let Prepared { files, made_disk } = runtime
        .blocking(move |inner| prepare(inner, &wanted))
        .await?;
    let result = boot(runtime, &files).await;
    if result.is_err() {
        let id = spec.id.clone();
        let undone = runtime.blocking(move |inner| {
            stop::stop(inner, &id)?;
            undo_files(inner, &id, &files, made_disk.as_deref())
        });
        if let Err(error) = undone.await {
            tracing::error!(sandbox = %spec.id, error = error.in_words(), "leftovers of a failed start");
        }
    }
    result
}

struct Prepared {
    files: SandboxFiles,
    made_disk: Option<PathBuf>,
}

/// Writes everything the shim reads.
fn prepare(inner: &Inner, spec: &SandboxSpec) -> Result<Prepared, RuntimeError> {
    let files = inner.files(&spec.id)?;
    if inner
        .state(&spec.id)?
        .is_some_and(|state| state.shim.alive())
    {
        return Err(RuntimeError::Start("it is running already".to_owned()));
    }
    // What a killed shim of an earlier start left.
    stop::stop(inner, &spec.id)?;
    let mut made_disk = None;
    let result = write_files(inner, spec, &files, &mut made_disk);
    if let Err(error) = result {
        undo_files(inner, &spec.id, &files, made_disk.as_deref())?;
        return Err(error);
    }
    Ok(Prepared { files, made_disk })
}

fn write_files(
    inner: &Inner,
    spec: &SandboxSpec,
    files: &SandboxFiles,
    made_disk: &mut Option<PathBuf>,
) -> Result<(), RuntimeError> {
    let step = "making the sandbox's folder";
    fs_err::create_dir_all(&files.dir).step(step)?;
    crate::files::gone(fs_err::remove_file(files.exit())).step(step)?;
    fs_err::set_permissions(&files.dir, PermissionsExt::from_mode(0o700)).step(step)?;
    let disk = match spec.upper {
        Upper::Disk(size_mb) => {
            let image = inner.config.disk(&spec.id, spec.disk_epoch);
            if disk::prepare(&image, size_mb)? {
                *made_disk = Some(image.clone());
            }
            stop::remove_disks(inner, &spec.id, Some(&image))?;
            Some(image)
        }
        Upper::Folder(_) => None,
    };
    let below = snapshot::images(inner, &spec.below)?;
    let first_uid = uids::take(&inner.config, &spec.id).step("taking a range of user ids")?;
    let cgroup = group(&spec.id);
    let step = "writing the sandbox's configuration";
    let config = bundle::build(spec, &inner.config.guest_binary, first_uid, &cgroup).step(step)?;
    write_json(&files.config(), &config).step(step)?;
    write_json(
        &files.launch(),
        &Launch {
            spec: spec.clone(),
            disk,
            below,
            cgroup,
        },
    )
    .step(step)
}

fn undo_files(
    inner: &Inner,
    id: &miosa_api::id::SandboxId,
    files: &SandboxFiles,
    made_disk: Option<&Path>,
) -> Result<(), RuntimeError> {
    uids::release(&inner.config, id).step("giving back the sandbox's user ids")?;
    files.remove_own().step("removing the sandbox's files")?;
    if let Some(disk) = made_disk {
        crate::files::gone(fs_err::remove_file(disk)).step("removing the sandbox's disk")?;
    }
    Ok(())
}

/// Starts the shim and waits for its word. After an error it is gone.
async fn boot(runtime: &Container, files: &SandboxFiles) -> Result<Started, RuntimeError> {
    let step = "starting the sandbox's shim";
    let mut shim = spawn(runtime, files).step(step)?;
    let result = match tokio::time::timeout(SANDBOX_BOOT_TIMEOUT, answer(&mut shim, files)).await {
        Ok(result) => result,
        Err(_) => {
            let limit = SANDBOX_BOOT_TIMEOUT.as_secs();
            Err(RuntimeError::Start(format!(
                "it was not ready within {limit} s"
            )))
        }
    };
    if result.is_err() {
        // Its guest dies with it.
        shim.kill().await.step("ending the sandbox's shim")?;
    }
    result
}

async fn answer(shim: &mut Child, files: &SandboxFiles) -> Result<Started, RuntimeError> {
    let stdout = shim
        .stdout
        .take()
        .ok_or_else(|| io::Error::other("no pipe"));
    let stdout = stdout.step("reading the shim's answer")?;
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .await
        .step("reading the shim's answer")?;
    match serde_json::from_str(&line) {
        Ok(Report::Ready { pid }) => match UnixStream::connect(files.guest_socket()).await {
            Ok(_) => Ok(Started { init_pid: pid }),
            Err(_) => Err(RuntimeError::Start(ended_at_once(shim, files).await)),
        },
        Ok(Report::Error {
            disk_full: true,
            message,
        }) => Err(RuntimeError::DiskFull(message)),
        Ok(Report::Error { message, .. }) => Err(RuntimeError::Start(message)),
        Err(_) => Err(RuntimeError::Start(silent(shim, files).await)),
    }
}

/// Words for a guest agent whose socket is closed already.
async fn ended_at_once(shim: &mut Child, files: &SandboxFiles) -> String {
    // It writes down why before it ends.
    shim.wait().await.ok();
    let ended = read_json(&files.exit()).ok().flatten();
    let reason = ended.map_or_else(|| "reason unknown".to_owned(), |ended: Ended| ended.reason);
    let log = fs_err::read_to_string(files.guest_log()).unwrap_or_default();
    let said = log.lines().last().unwrap_or("it wrote nothing");
    format!("the guest agent ended at once ({reason}): {said}")
}

/// Words for a shim that ended without any.
async fn silent(shim: &mut Child, files: &SandboxFiles) -> String {
    let status = shim
        .wait()
        .await
        .map_or_else(|error| error.to_string(), |status| status.to_string());
    let log = fs_err::read_to_string(files.shim_log()).unwrap_or_default();
    let last = log.lines().last().unwrap_or("it wrote nothing");
    format!("its shim ended ({status}): {last}")
}

/// The shim gets nothing of the server: no environment, no descriptor but the pipe and its log. It
/// makes a session of its own and lives on when the server ends.
fn spawn(runtime: &Container, files: &SandboxFiles) -> io::Result<Child> {
    let log = fs_err::File::create(files.shim_log())?;
    Command::new(&runtime.inner.config.program)
        .arg("shim")
        .arg(&files.dir)
        .env_clear()
        .env("PATH", HOST_PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.into_file())
        .kill_on_drop(false)
        .spawn()
}
