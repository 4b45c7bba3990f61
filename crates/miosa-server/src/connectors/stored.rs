//! Stored connectors: create, find, list, rotate, delete, reveal.
//!
//! INVARIANT: a value is sealed before anything is stored or awaited; after that nobody in this process
//! can read it. A tenant sees its own rows and the managed ones, nothing else.

use miosa_api::connector::{Connector, CreateConnector, Credential};
use miosa_api::error::ErrorCode;
use miosa_api::id::ConnectorId;
use miosa_vault::{AwsKeys, SecretValue};

use super::Definition;
use crate::clock::{now_ms, rfc3339};
use crate::store::connectors::{self, ConnectorRow, PLATFORM};
use crate::{ApiError, App, bindings, store};

/// A connector of the tenant, or a managed one. `MANAGED_CONNECTOR_NOT_CONFIGURED` before the operator
/// supplied its token.
pub async fn find(app: &App, tenant_id: &str, key: &str) -> Result<ConnectorRow, ApiError> {
    if app.catalog.managed(key).is_some() {
        let row = connectors::find(&app.pool, PLATFORM, key).await?;
        return row.filter(|row| !row.is_revoked()).ok_or_else(|| {
            ApiError::new(
                ErrorCode::ManagedConnectorNotConfigured,
                format!(
                    "{key} is managed, and the operator of this server has not supplied its token"
                ),
            )
            .with_hint("the operator supplies it once with `miosa admin connectors set`")
        });
    }
    connectors::find(&app.pool, tenant_id, key)
        .await?
        .ok_or_else(|| not_found(key))
}

pub(super) fn not_found(key: &str) -> ApiError {
    ApiError::new(
        ErrorCode::ConnectorNotFound,
        format!("there is no connector {key}"),
    )
    .with_hint("`miosa connectors list` shows what there is; `miosa connectors create` makes one")
}

/// Managed ones first, then the tenant's own.
pub async fn list(app: &App, tenant_id: &str) -> Result<Vec<Connector>, ApiError> {
    let mut all = Vec::new();
    for definition in app.catalog.all_managed() {
        let row = connectors::find(&app.pool, PLATFORM, definition.key()).await?;
        all.push(managed_view(definition, row.as_ref()));
    }
    let own = connectors::list(&app.pool, tenant_id).await?;
    all.extend(own.iter().map(|row| view(app, row)));
    Ok(all)
}

/// One as it is listed.
pub async fn get(app: &App, tenant_id: &str, key: &str) -> Result<Connector, ApiError> {
    if let Some(definition) = app.catalog.managed(key) {
        let row = connectors::find(&app.pool, PLATFORM, key).await?;
        let mut view = managed_view(definition, row.as_ref());
        if view.budget.is_some() {
            // What was used is the broker's to know; without it the rest is still true.
            view.budget_used = app.broker.budget_use(&view.id, tenant_id).await.ok();
        }
        return Ok(view);
    }
    find(app, tenant_id, key).await.map(|row| view(app, &row))
}

pub(super) fn managed_view(definition: &Definition, row: Option<&ConnectorRow>) -> Connector {
    let time = |at: fn(&ConnectorRow) -> i64| row.map_or_else(String::new, |row| rfc3339(at(row)));
    Connector {
        id: definition.key().to_owned(),
        uid: definition.key().to_owned(),
        provider: definition.provider.clone(),
        kind: definition.kind().to_owned(),
        managed: true,
        display_name: definition.display_name.clone(),
        status: if row.is_some_and(|row| !row.is_revoked()) {
            "connected"
        } else {
            "not_configured"
        }
        .to_owned(),
        scope: PLATFORM.to_owned(),
        default_env_name: definition.default_env_name.clone(),
        endpoints: definition.endpoint_texts(),
        budget: row.and_then(|row| row.budget().ok().flatten()),
        budget_used: None,
        version: row.map_or(0, |row| row.version),
        created_at: time(|row| row.created_at),
        updated_at: time(|row| row.updated_at),
    }
}

/// A row of a tenant as it is listed.
#[must_use]
pub fn view(app: &App, row: &ConnectorRow) -> Connector {
    let definition = app.catalog.of(&row.uid, &row.provider);
    if let Some(definition) = definition.filter(|_| row.is_managed()) {
        return managed_view(definition, Some(row));
    }
    Connector {
        id: row.id.clone(),
        uid: row.uid.clone(),
        provider: row.provider.clone(),
        kind: "api_key".to_owned(),
        managed: false,
        display_name: definition.map_or_else(|| row.provider.clone(), |d| d.display_name.clone()),
        status: if definition.is_some() {
            "connected"
        } else {
            "definition_missing"
        }
        .to_owned(),
        scope: row.scope.clone(),
        default_env_name: definition.map_or_else(String::new, |d| d.default_env_name.clone()),
        endpoints: definition.map_or_else(Vec::new, Definition::endpoint_texts),
        budget: None,
        budget_used: None,
        version: row.version,
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
    }
}

/// Stores a tenant's secret under a new uid.
pub async fn create(
    app: &App,
    tenant_id: &str,
    request: CreateConnector,
) -> Result<Connector, ApiError> {
    let provider = provider_of(app, &request)?;
    let uid = uid_of(&provider, &request)?;
    check_kind(request.kind.as_deref())?;
    let scope = scope_of(&request)?;
    let secret = parse_secret(app.catalog.provider(&provider), request.credential.as_ref())?;
    let id = ConnectorId::new().to_string();
    let sealed = seal(app, &secret, &id, tenant_id, 1)?;
    drop(secret);
    let at_ms = now_ms();
    let row = ConnectorRow {
        id,
        owner: tenant_id.to_owned(),
        uid,
        provider,
        scope,
        workspace_id: request.workspace_id,
        external_user_id: request.external_user_id,
        external_workspace_id: request.external_workspace_id,
        version: 1,
        sealed,
        budget: None,
        created_at: at_ms,
        updated_at: at_ms,
    };
    match connectors::insert(&app.pool, &row).await {
        Ok(()) => Ok(view(app, &row)),
        Err(error) if store::is_taken(&error) => Err(ApiError::new(
            ErrorCode::NameTaken,
            format!("there is already a connector {}", row.uid),
        )
        .with_hint("choose another `name`, or replace its secret with PATCH")),
        Err(error) => Err(error.into()),
    }
}

fn provider_of(app: &App, request: &CreateConnector) -> Result<String, ApiError> {
    let named = request.provider.trim().to_ascii_lowercase();
    let from_uid = request
        .uid
        .as_deref()
        .and_then(|uid| uid.split_once('/'))
        .map(|(first, _)| first);
    let provider = if named.is_empty() {
        from_uid.unwrap_or_default()
    } else {
        &named
    };
    if app.catalog.provider(provider).is_some() {
        return Ok(provider.to_owned());
    }
    let known: Vec<&str> = app.catalog.providers().collect();
    let managed = app.catalog.all_managed().any(|d| d.provider == provider);
    let hint = if managed {
        format!("{provider} is managed by the operator: attach it, no secret is needed")
    } else {
        format!("known providers: {}", known.join(", "))
    };
    Err(ApiError::new(
        ErrorCode::UnknownProvider,
        format!("there is no connector definition for the provider `{provider}`"),
    )
    .with_hint(hint))
}

fn uid_of(provider: &str, request: &CreateConnector) -> Result<String, ApiError> {
    let filled = |text: &Option<String>| {
        text.as_deref()
            .map(str::trim)
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    let uid = filled(&request.uid).unwrap_or_else(|| {
        format!(
            "{provider}/{}",
            filled(&request.name).unwrap_or_else(|| "default".to_owned())
        )
    });
    let name = uid
        .strip_prefix(provider)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or_default();
    let good = (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && !name.starts_with('.');
    if good {
        return Ok(uid);
    }
    Err(ApiError::invalid(
        "uid",
        format!("it is `{provider}/<name>` with 1 to 64 letters, digits, `-`, `_` and `.` as name"),
    ))
}

fn check_kind(kind: Option<&str>) -> Result<(), ApiError> {
    match kind.unwrap_or("api_key").replace('-', "_").as_str() {
        "api_key" | "bearer" | "generic" | "other" => Ok(()),
        kind => Err(ApiError::invalid(
            "type",
            format!("`{kind}` is not offered; it is `api_key`"),
        )),
    }
}

fn scope_of(request: &CreateConnector) -> Result<String, ApiError> {
    let scope = request
        .scope
        .as_deref()
        .unwrap_or(if request.workspace_id.is_some() {
            "workspace"
        } else {
            "tenant"
        });
    match scope {
        "workspace" if request.workspace_id.is_none() => Err(ApiError::invalid(
            "workspace_id",
            "needed by the scope `workspace`",
        )),
        "tenant" | "workspace" | "user" => Ok(scope.to_owned()),
        _ => Err(ApiError::invalid(
            "scope",
            "it is `tenant`, `workspace` or `user`",
        )),
    }
}

pub(super) fn parse_secret(
    definition: Option<&Definition>,
    credential: Option<&Credential>,
) -> Result<SecretValue, ApiError> {
    let value = credential.map_or("", |c| c.value.as_str());
    let secret = SecretValue::parse(value).map_err(|why| {
        ApiError::new(ErrorCode::InvalidSecret, why.to_string())
            .with_hint("send exactly the provider's token in `credential.value`")
    })?;
    if definition.is_some_and(Definition::signs) {
        AwsKeys::parse(&secret).map_err(|why| {
            ApiError::new(ErrorCode::InvalidSecret, why.to_string())
                .with_hint("`aws configure export-credentials | jq -c .` prints it in this form")
        })?;
    }
    Ok(secret)
}

/// `owner` is [`PLATFORM`] exactly for managed values, which are sealed as never to be revealed.
pub(super) fn seal(
    app: &App,
    secret: &SecretValue,
    id: &str,
    owner: &str,
    version: i64,
) -> Result<String, ApiError> {
    let version = u64::try_from(version).map_err(ApiError::internal)?;
    let sealed = app
        .sealing_key
        .seal(secret, id, owner, version, owner == PLATFORM)
        .map_err(ApiError::internal)?;
    serde_json::to_string(&sealed).map_err(ApiError::internal)
}

/// Replaces a tenant's secret. Placeholders stay; it answers once every sandbox uses the new value.
pub async fn rotate(
    app: &App,
    tenant_id: &str,
    key: &str,
    credential: &Credential,
) -> Result<Connector, ApiError> {
    let row = own(app, tenant_id, key).await?;
    replace(app, &row, credential).await
}

pub(super) async fn replace(
    app: &App,
    row: &ConnectorRow,
    credential: &Credential,
) -> Result<Connector, ApiError> {
    let definition = app.catalog.of(&row.uid, &row.provider);
    let secret = parse_secret(definition, Some(credential))?;
    let sealed = seal(app, &secret, &row.id, &row.owner, row.version + 1)?;
    drop(secret);
    if !connectors::replace(&app.pool, row, &sealed, now_ms()).await? {
        return Err(ApiError::new(
            ErrorCode::ResourceState,
            format!("{} was changed at the same time", row.uid),
        )
        .with_hint("send it again"));
    }
    bindings::push_all_of(app, &row.id).await?;
    let row = connectors::get_any(&app.pool, &row.id)
        .await?
        .ok_or_else(|| not_found(&row.uid))?;
    Ok(view(app, &row))
}

/// Detaches a tenant's connector everywhere, then removes it.
pub async fn delete(app: &App, tenant_id: &str, key: &str) -> Result<(), ApiError> {
    let row = own(app, tenant_id, key).await?;
    bindings::detach_all_of(app, &row).await?;
    connectors::delete(&app.pool, &row.id).await?;
    Ok(())
}

/// The value of a tenant's own connector, opened by the broker.
pub async fn reveal(
    app: &App,
    tenant_id: &str,
    key: &str,
) -> Result<(String, Connector), ApiError> {
    let row = own(app, tenant_id, key).await?;
    let sealed = row
        .sealed()
        .ok_or_else(|| ApiError::internal("a damaged sealed value"))?;
    let revealed = app.broker.reveal(&sealed).await?;
    Ok((revealed.value, view(app, &row)))
}

/// A connector whose secret is the tenant's.
async fn own(app: &App, tenant_id: &str, key: &str) -> Result<ConnectorRow, ApiError> {
    if app.catalog.managed(key).is_some() {
        return Err(ApiError::new(
            ErrorCode::ManagedProviderBindingOnly,
            format!("{key} is managed: it can be attached to a sandbox, never read or changed"),
        )
        .with_hint("attach it with `miosa sandbox connectors attach`"));
    }
    find(app, tenant_id, key).await
}
