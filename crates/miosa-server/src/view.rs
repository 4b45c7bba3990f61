//! A sandbox as callers see it.

use miosa_api::sandbox::{Sandbox, SandboxState};

use crate::clock::{now_ms, rfc3339};
use crate::store::sandboxes::SandboxRow;
use crate::store::workspaces;
use crate::{ApiError, App, preview};

/// The public object of a row.
pub async fn sandbox(app: &App, row: SandboxRow) -> Result<Sandbox, ApiError> {
    let preview_url = preview::first_url(app, &row.id).await?;
    let workspace = match &row.workspace_id {
        Some(id) => workspaces::get(&app.pool, &row.tenant_id, id).await?,
        None => None,
    };
    let (workspace_slug, workspace_name) = workspace.map(|w| (w.slug, w.name)).unzip();
    let state = row.state();
    let small = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
    Ok(Sandbox {
        image_id: Some(row.image().image_id).filter(|id| !id.is_empty()),
        metadata: row.metadata(),
        tags: row.tags(),
        state,
        status: state,
        ready: state == SandboxState::Running,
        ready_at: row.ready_at.map(rfc3339),
        runtime: app.runtime.name().to_owned(),
        cpu_count: small(row.cpu_count),
        memory_mb: small(row.memory_mb),
        disk_size_mb: small(row.disk_size_mb),
        always_on: row.always_on != 0,
        persistent: row.persistent != 0,
        timeout_remaining_ms: remaining_ms(&row, now_ms()),
        preview_url,
        preview_domain: app.config.preview_domain.clone(),
        created_at: rfc3339(row.created_at),
        started_at: row.started_at.map(rfc3339),
        expires_at: row.expires_at.map(rfc3339),
        destroyed_at: row.destroyed_at.map(rfc3339),
        id: row.id,
        slug: row.slug,
        snapshot_id: row.snapshot_id,
        name: row.name,
        template_id: row.template_id,
        size: row.size,
        timeout_sec: row.timeout_sec,
        idle_timeout_sec: row.idle_timeout_sec,
        boot_ms: row.boot_ms,
        tenant_id: row.tenant_id,
        workspace_id: row.workspace_id,
        workspace_slug,
        workspace_name,
        external_user_id: row.external_user_id,
        external_workspace_id: row.external_workspace_id,
        external_project_id: row.external_project_id,
    })
}

/// Milliseconds left of its lifetime.
#[must_use]
pub fn remaining_ms(row: &SandboxRow, now_ms: i64) -> i64 {
    row.expires_at.map_or(0, |at| (at - now_ms).max(0))
}

/// Milliseconds it has run in all.
#[must_use]
pub fn runtime_ms(row: &SandboxRow, now_ms: i64) -> i64 {
    let current = match (row.state(), row.started_at) {
        (SandboxState::Running, Some(since)) => (now_ms - since).max(0),
        _ => 0,
    };
    row.runtime_ms + current
}
