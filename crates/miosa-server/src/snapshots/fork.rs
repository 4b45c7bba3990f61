//! Sandboxes made from snapshots: files, variables, ports, services, rules and connectors of another one,
//! under an identity of their own.
//!
//! SECURITY: every binding is attached anew, so that its placeholder is the new sandbox's alone and the
//! parent's is dead in it. Network rules are there before the sandbox starts: a fork opens nothing that was
//! closed for its parent.

use miosa_api::connector::AttachConnector;
use miosa_api::error::ErrorCode;
use miosa_api::preview::Expose;
use miosa_api::sandbox::CreateSandbox;
use miosa_api::snapshot::ForkSandbox;
use serde_json::{Value, json};
use uuid::Uuid;

use super::take::{find, take};
use super::{Manifest, collect, references};
use crate::auth::{Caller, Scope};
use crate::clock::now_ms;
use crate::lifecycle::state::Event;
use crate::lifecycle::{Cause, order};
use crate::preview::expose;
use crate::store::network_policies::{self, PolicyRow};
use crate::store::network_rules::{self, RuleRow};
use crate::store::sandboxes::SandboxRow;
use crate::store::services;
use crate::store::snapshots::{self, FORK, GONE, KEPT, SnapshotRow};
use crate::{ApiError, App, admission, bindings, events, settings};

/// Makes a sandbox of what another one is now, or was in one of its snapshots; it runs when this returns.
pub async fn fork(
    app: &App,
    caller: &Caller,
    parent: &SandboxRow,
    asked: ForkSandbox,
) -> Result<SandboxRow, ApiError> {
    let snapshot = match asked.snapshot_id.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => {
            let named = find(app, &caller.tenant_id, id).await?;
            if named.sandbox_id != parent.id {
                return Err(ApiError::not_found("snapshot", id));
            }
            named
        }
        None => {
            // Nothing is copied for a fork that is refused for the lack of a scope.
            may_bind(caller, !bindings::live(app, &parent.id).await?.is_empty())?;
            let draft = SnapshotRow {
                kind: FORK.to_owned(),
                ..SnapshotRow::default()
            };
            take(app, parent, draft).await?
        }
    };
    let body = CreateSandbox {
        name: asked.name,
        external_user_id: asked.external_user_id,
        metadata: asked.metadata,
        timeout_sec: asked.timeout_sec,
        env: asked.env,
        ..CreateSandbox::default()
    };
    let made = make(app, caller, &snapshot, body).await;
    if snapshot.kind == FORK {
        // Now the child alone keeps its disk.
        snapshots::set_state(&app.pool, &snapshot.id, GONE).await?;
        if made.is_err() {
            collect(app).await?;
        }
    }
    let row = made?;
    let start = order(app, &row.id, Event::Create, Cause::Request).await;
    let facts = json!({ "sandbox_id": row.id, "snapshot_id": row.snapshot_id });
    events::emit(app, &parent.tenant_id, &parent.id, "sandbox.forked", facts).await;
    start
}

fn may_bind(caller: &Caller, is_bound: bool) -> Result<(), ApiError> {
    if is_bound {
        caller.require(Scope::ConnectorsWrite)?;
    }
    Ok(())
}

/// Makes a sandbox over a snapshot, ready to be started. Where the request names nothing, the
/// snapshot's own holds.
pub async fn make(
    app: &App,
    caller: &Caller,
    snapshot: &SnapshotRow,
    body: CreateSandbox,
) -> Result<SandboxRow, ApiError> {
    let manifest = Manifest::of(snapshot)?;
    may_bind(caller, !manifest.bindings.is_empty())?;
    let body = filled(&manifest, body);
    let env = body.env.clone();
    let template = (manifest.template_id.clone(), &manifest.image);
    let sizes = (
        manifest.cpu_count,
        manifest.memory_mb,
        manifest.disk_size_mb,
    );
    let mut row = admission::admit_over(app, &caller.tenant_id, body, template, sizes).await?;
    row.below = serde_json::to_string(&snapshot.stack()).map_err(ApiError::internal)?;
    row.snapshot_id = (snapshot.kind == KEPT).then(|| snapshot.id.clone());
    let before = SandboxRow {
        metadata: Value::Object(manifest.metadata.clone()).to_string(),
        ..row.clone()
    };
    settings::may_differ(app, caller, &before, &row).await?;
    {
        let _nothing_is_removed = references().await;
        let there = snapshots::get_any(&app.pool, &snapshot.id).await?;
        if there.is_none_or(|there| there.state == GONE) {
            return Err(ApiError::not_found("snapshot", &snapshot.id));
        }
        admission::insert(app, &row, &env).await?;
    }
    if let Err(error) = carry_over(app, &row, &manifest).await {
        order(app, &row.id, Event::Destroy, Cause::Request).await?;
        return Err(error);
    }
    Ok(row)
}

fn filled(manifest: &Manifest, body: CreateSandbox) -> CreateSandbox {
    let mut env = manifest.env.clone();
    env.extend(body.env);
    let mut metadata = manifest.metadata.clone();
    metadata.extend(body.metadata);
    let tags = if body.tags.is_empty() {
        manifest.tags.clone()
    } else {
        body.tags
    };
    CreateSandbox {
        timeout_sec: body.timeout_sec.or(Some(manifest.timeout_sec)),
        idle_timeout_sec: body.idle_timeout_sec.or(manifest.idle_timeout_sec),
        persistent: body.persistent.or(Some(manifest.persistent)),
        always_on: body.always_on.or(Some(manifest.always_on)),
        auto_start: body.auto_start.or(Some(manifest.auto_start)),
        workspace_id: body.workspace_id.or(manifest.workspace_id.clone()),
        external_user_id: body.external_user_id.or(manifest.external_user_id.clone()),
        external_workspace_id: body
            .external_workspace_id
            .or(manifest.external_workspace_id.clone()),
        external_project_id: body
            .external_project_id
            .or(manifest.external_project_id.clone()),
        env,
        metadata,
        tags,
        ..body
    }
}

/// Everything but files and variables, before the first process: rules first, so that no binding is ever in
/// force without them.
async fn carry_over(app: &App, row: &SandboxRow, manifest: &Manifest) -> Result<(), ApiError> {
    rules(app, row, manifest).await?;
    for start in &manifest.services {
        let name = start.name.as_deref().unwrap_or_default();
        services::save(&app.pool, &row.id, name, start).await?;
    }
    for port in &manifest.ports {
        let asked = Expose {
            port: Some(port.port),
            title: port.name.clone(),
            // What was private stays so; what was public becomes what a port is here by default.
            visibility: port.private.then(|| "private".to_owned()),
        };
        expose::expose(app, row, &asked).await?;
    }
    for bound in &manifest.bindings {
        let narrowed = bound.mcp.as_deref().map(serde_json::from_str).transpose();
        let request = AttachConnector {
            connector: bound.connector_id.clone(),
            env_name: Some(bound.env_name.clone()),
            mcp: narrowed.map_err(ApiError::internal)?,
            ..AttachConnector::default()
        };
        match bindings::attach(app, row, &request).await {
            Ok(_) => {}
            // Deleted since the snapshot was taken: there is nothing to bind.
            Err(error) if error.code == ErrorCode::ConnectorNotFound => {
                let facts = json!({ "connector": bound.uid, "env_name": bound.env_name });
                events::emit(
                    app,
                    &row.tenant_id,
                    &row.id,
                    "sandbox.connector.missing",
                    facts,
                )
                .await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn rules(app: &App, row: &SandboxRow, manifest: &Manifest) -> Result<(), ApiError> {
    let now = now_ms();
    let new_id = || Uuid::now_v7().to_string();
    let mut ids = std::collections::BTreeMap::new();
    for policy in &manifest.policies {
        let id = new_id();
        ids.insert(policy.id.clone(), id.clone());
        let own = PolicyRow {
            id,
            tenant_id: row.tenant_id.clone(),
            resource_type: "sandbox".to_owned(),
            resource_id: row.id.clone(),
            name: policy.name.clone(),
            description: policy.description.clone(),
            mode: policy.mode.clone(),
            default_effect: policy.default_effect.clone(),
            created_at: now,
            updated_at: now,
        };
        network_policies::insert(&app.pool, &own).await?;
    }
    for rule in &manifest.rules {
        let own = RuleRow {
            id: new_id(),
            tenant_id: row.tenant_id.clone(),
            policy_id: rule.policy_id.as_ref().and_then(|id| ids.get(id).cloned()),
            resource_type: "sandbox".to_owned(),
            resource_id: row.id.clone(),
            host: rule.host.clone(),
            effect: rule.effect.clone(),
            methods: rule.methods.clone(),
            path_glob: rule.path_glob.clone(),
            note: rule.note.clone(),
            created_at: now,
        };
        network_rules::insert(&app.pool, &own).await?;
    }
    Ok(())
}
