//! Starts a sandbox: policy in force, trust written, processes started, guest agent answering.
//!
//! SECURITY: the policy is in force at the broker before the first process exists.

use std::path::PathBuf;
use std::time::Duration;

use miosa_api::broker::LISTENER_SOCKET;
use miosa_api::error::ErrorCode;
use miosa_api::guest::{ExecStart, Health, PROTOCOL_MIN};
use miosa_api::id::SandboxId;
use miosa_api::limits::{SANDBOX_BOOT_TIMEOUT, SANDBOX_PIDS_MAX};
use miosa_runtime::{Network, SandboxSpec, Upper};
use serde_json::json;

use crate::store::sandboxes::{self, SandboxRow};
use crate::{ApiError, App, env, events, policy};

/// Between two looks at a guest agent that is starting.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Name of the template's application among the sandbox's processes.
pub(crate) const APPLICATION: &str = "app";

/// Starts a sandbox's processes and returns once its guest agent answers.
pub(super) async fn boot(app: &App, row: &SandboxRow) -> Result<(), ApiError> {
    sandboxes::save_guest_protocol(&app.pool, &row.id, None).await?;
    let in_force = policy::push(app, &row.id).await?;
    let trust = write_trust(app, &row.id, &in_force.ca_pem).await?;
    let started = tokio::time::timeout(SANDBOX_BOOT_TIMEOUT, async {
        app.runtime.start(&spec(app, row, trust)).await?;
        Ok::<_, ApiError>(wait_for_guest(app, &row.id).await)
    });
    let health = started.await.map_err(|_| {
        ApiError::new(
            ErrorCode::SandboxStartFailed,
            format!("its guest agent did not answer within {SANDBOX_BOOT_TIMEOUT:?}"),
        )
    })??;
    judge_guest(app, row, &health).await
}

/// Withholds credentials from an agent that is older than this server can rely on, before anything runs
/// that could use them.
async fn judge_guest(app: &App, row: &SandboxRow, health: &Health) -> Result<(), ApiError> {
    let spoken = i64::from(health.protocol);
    sandboxes::save_guest_protocol(&app.pool, &row.id, Some(spoken)).await?;
    if health.protocol >= PROTOCOL_MIN {
        return Ok(());
    }
    tracing::warn!(
        sandbox = row.id,
        spoken,
        "an old guest agent: credentials are withheld"
    );
    policy::push(app, &row.id).await?;
    let facts = json!({ "protocol": spoken, "needed": PROTOCOL_MIN });
    events::emit(
        app,
        &row.tenant_id,
        &row.id,
        "sandbox.credentials.withheld",
        facts,
    )
    .await;
    Ok(())
}

struct Trust {
    bundle: PathBuf,
    ca: PathBuf,
}

/// Writes the sandbox's own CA, alone and merged with the host's roots.
async fn write_trust(app: &App, id: &str, ca_pem: &str) -> Result<Trust, ApiError> {
    let folder = app.runtime.sandbox_dir(&SandboxId::from(id));
    fs_err::tokio::create_dir_all(&folder).await?;
    let trust = Trust {
        bundle: folder.join("ca-bundle.pem"),
        ca: folder.join("ca.pem"),
    };
    let mut merged = fs_err::tokio::read(&app.config.host_ca_bundle).await?;
    if merged.last() != Some(&b'\n') {
        merged.push(b'\n');
    }
    merged.extend_from_slice(ca_pem.as_bytes());
    fs_err::tokio::write(&trust.bundle, merged).await?;
    fs_err::tokio::write(&trust.ca, ca_pem).await?;
    Ok(trust)
}

fn spec(app: &App, row: &SandboxRow, trust: Trust) -> SandboxSpec {
    let image = row.image();
    let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    SandboxSpec {
        id: SandboxId::from(row.id.as_str()),
        generation: u64::try_from(row.generation).unwrap_or(0),
        layers: image.layers,
        below: row.below(),
        disk_epoch: u64::try_from(row.disk_epoch).unwrap_or(0),
        upper: Upper::Disk(small(row.disk_size_mb)),
        memory_mb: small(row.memory_mb),
        cpu_count: small(row.cpu_count),
        pids_max: SANDBOX_PIDS_MAX,
        hostname: row.slug.clone(),
        workdir: image.workdir,
        network: Network::Broker(app.config.run_dir.join(LISTENER_SOCKET)),
        ca_bundle: Some(trust.bundle),
        ca: Some(trust.ca),
    }
}

async fn wait_for_guest(app: &App, id: &str) -> Health {
    let guest = app.guest(id);
    loop {
        match guest.health().await {
            Ok(health) => return health,
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

/// Leaves nothing of a failed start but a disk that was there before.
pub(super) async fn clean_up(app: &App, row: &SandboxRow) {
    let id = SandboxId::from(row.id.as_str());
    let cleaned = if row.generation <= 1 {
        app.runtime.destroy(&id).await
    } else {
        app.runtime.stop(&id).await
    };
    if let Err(error) = cleaned {
        tracing::error!(sandbox = row.id, %error, "a failed start could not be cleaned up");
    }
}

/// Starts the template's application, if that was asked for. Its failure is the application's own.
pub(super) async fn start_application(app: &App, row: &SandboxRow) {
    let image = row.image();
    let Some(command) = image.start_cmd.filter(|_| row.auto_start != 0) else {
        return;
    };
    let started = async {
        let start = ExecStart {
            shell: Some(command),
            cwd: Some(image.workdir),
            env: env::compose(app, row, &Default::default()).await?,
            name: Some(APPLICATION.to_owned()),
            ..ExecStart::default()
        };
        app.guest(&row.id).start(&start).await
    };
    match started.await {
        Ok(process) => {
            let facts =
                json!({ "process_id": process.id, "pid": process.pid, "port": image.preview_port });
            events::emit(app, &row.tenant_id, &row.id, "sandbox.app.started", facts).await;
        }
        Err(error) => {
            let facts = json!({ "message": error.message });
            events::emit(app, &row.tenant_id, &row.id, "sandbox.app.failed", facts).await;
        }
    }
}
