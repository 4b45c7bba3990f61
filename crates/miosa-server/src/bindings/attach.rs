//! Attaching: every reason to refuse first, then row, broker, visible.

use miosa_api::connector::AttachConnector;
use miosa_api::env::refused_connector_env_name;
use miosa_api::error::ErrorCode;
use miosa_api::id::BindingId;
use miosa_api::limits::BINDINGS_PER_SANDBOX_MAX;
use miosa_api::sandbox::SandboxState;
use miosa_vault::placeholder;
use serde_json::json;

use super::{Bound, all, lock};
use crate::clock::now_ms;
use crate::connectors::overlap::bindings_overlap;
use crate::connectors::{Definition, stored};
use crate::store::bindings::{self, ATTACHING, BindingRow, LIVE};
use crate::store::connectors::ConnectorRow;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, events, policy};

/// Attaches a connector. The same connector under the same variable again is the same binding.
pub async fn attach(
    app: &App,
    sandbox: &SandboxRow,
    request: &AttachConnector,
) -> Result<Bound, ApiError> {
    check_mode(request.mode.as_deref())?;
    if request.connector.trim().is_empty() {
        return Err(ApiError::invalid(
            "connector",
            "name a connector by its uid or id",
        ));
    }
    if sandbox.state() == SandboxState::Destroyed {
        return Err(ApiError::new(
            ErrorCode::ResourceState,
            "the sandbox is destroyed",
        ));
    }
    if sandbox.withholds_credentials() {
        let why = "the sandbox's guest agent is older than this server can rely on: credentials are withheld from it";
        let again = format!(
            "`miosa sandbox stop {0}`, `miosa sandbox resume {0}` start it with a new one",
            sandbox.id
        );
        return Err(ApiError::new(ErrorCode::ResourceState, why).with_hint(again));
    }
    let connector = stored::find(app, &sandbox.tenant_id, request.connector.trim()).await?;
    let definition = app
        .catalog
        .of(&connector.uid, &connector.provider)
        .cloned()
        .ok_or_else(|| {
            ApiError::new(
                ErrorCode::UnknownProvider,
                format!(
                    "the definition of the provider `{}` is no longer on this server",
                    connector.provider
                ),
            )
        })?;
    let env_name = env_name(request, &definition)?;
    let narrowed = narrowed(request, &definition)?;

    let _one_change = lock(&sandbox.id).await;
    let others = all(app, &sandbox.id).await?;
    if let Some(same) = others
        .iter()
        .find(|b| b.is_live() && b.connector.id == connector.id && b.row.env_name == env_name)
    {
        if same.row.mcp != narrowed {
            let message = format!(
                "{} is attached with other rules for its MCP server",
                same.connector.uid
            );
            return Err(ApiError::new(ErrorCode::BindingConflict, message)
                .with_hint(format!("detach {} first", same.connector.uid)));
        }
        return Ok(same.clone());
    }
    refuse_conflicts(&others, &env_name, &definition)?;
    let bound = put_in_force(app, sandbox, connector, definition, (env_name, narrowed)).await?;
    let facts = json!({
        "binding_id": bound.row.id, "connector": bound.connector.uid, "env_name": bound.row.env_name,
    });
    events::emit(
        app,
        &sandbox.tenant_id,
        &sandbox.id,
        "sandbox.connector.attached",
        facts,
    )
    .await;
    Ok(bound)
}

fn check_mode(mode: Option<&str>) -> Result<(), ApiError> {
    match mode.unwrap_or("brokered_env").replace('-', "_").as_str() {
        "brokered_env" => Ok(()),
        "plain_env" => Err(ApiError::new(
            ErrorCode::PlainEnvNotAllowed,
            "`plain_env` would put the real value into the sandbox; this server does not",
        )
        .with_hint("attach it as `brokered_env`; a variable that is no secret is set with `miosa sandbox env set`")),
        _ => Err(ApiError::invalid("mode", "it is `brokered_env`")),
    }
}

/// By what the attachment narrows the connector's MCP server, checked, as it is stored.
fn narrowed(
    request: &AttachConnector,
    definition: &Definition,
) -> Result<Option<String>, ApiError> {
    let Some(policy) = &request.mcp else {
        return Ok(None);
    };
    if definition.mcp.is_none() {
        let why = format!(
            "{} has no MCP server that rules could be about",
            definition.key()
        );
        return Err(ApiError::invalid("mcp", &why));
    }
    if let Some((field, why)) = policy.fault() {
        return Err(ApiError::invalid(&format!("mcp.{field}"), &why));
    }
    serde_json::to_string(policy)
        .map(Some)
        .map_err(ApiError::internal)
}

fn env_name(request: &AttachConnector, definition: &Definition) -> Result<String, ApiError> {
    let name = request
        .env_name
        .as_deref()
        .unwrap_or(&definition.default_env_name);
    match refused_connector_env_name(name) {
        None => Ok(name.to_owned()),
        Some(why) => Err(ApiError::new(
            ErrorCode::InvalidEnvName,
            format!("{name:?} cannot hold a connector: {why}"),
        )
        .with_hint(format!("the usual name is {}", definition.default_env_name))),
    }
}

fn refuse_conflicts(
    others: &[Bound],
    env_name: &str,
    definition: &Definition,
) -> Result<(), ApiError> {
    if let Some(other) = others.iter().find(|b| b.row.env_name == env_name) {
        return Err(ApiError::new(
            ErrorCode::EnvNameTaken,
            format!(
                "{env_name} already holds {} in this sandbox",
                other.connector.uid
            ),
        )
        .with_hint(format!(
            "detach {} first, or name another variable",
            other.connector.uid
        )));
    }
    if others.len() >= BINDINGS_PER_SANDBOX_MAX {
        return Err(ApiError::invalid(
            "connector",
            format!("a sandbox has at most {BINDINGS_PER_SANDBOX_MAX} connectors"),
        ));
    }
    for other in others {
        let Some(theirs) = &other.definition else {
            continue;
        };
        let ours = (
            definition.endpoints.as_slice(),
            definition.places.as_slice(),
        );
        if bindings_overlap(ours, (&theirs.endpoints, &theirs.places)) {
            let message = format!(
                "{} (in {}) is for the same requests: nobody could say which of the two is meant",
                other.connector.uid, other.row.env_name
            );
            return Err(ApiError::new(ErrorCode::BindingConflict, message)
                .with_hint(format!("detach {} first", other.connector.uid))
                .with_details(
                    json!({ "binding_id": other.row.id, "connector": other.connector.uid }),
                ));
        }
    }
    Ok(())
}

async fn put_in_force(
    app: &App,
    sandbox: &SandboxRow,
    connector: ConnectorRow,
    definition: Definition,
    (env_name, mcp): (String, Option<String>),
) -> Result<Bound, ApiError> {
    let shape = Some(definition.placeholder_prefix.as_str()).filter(|prefix| !prefix.is_empty());
    let mut row = BindingRow {
        id: BindingId::new().to_string(),
        tenant_id: sandbox.tenant_id.clone(),
        sandbox_id: sandbox.id.clone(),
        connector_id: connector.id.clone(),
        env_name,
        placeholder: placeholder::mint(shape),
        mcp,
        state: ATTACHING.to_owned(),
        created_at: now_ms(),
    };
    bindings::insert(&app.pool, &row).await?;
    if let Err(error) = policy::push(app, &sandbox.id).await {
        bindings::delete(&app.pool, &row.id).await?;
        return Err(error);
    }
    bindings::set_state(&app.pool, &row.id, LIVE).await?;
    LIVE.clone_into(&mut row.state);
    Ok(Bound {
        row,
        connector,
        definition: Some(definition),
    })
}
