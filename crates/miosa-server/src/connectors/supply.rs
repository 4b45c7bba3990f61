//! What the operator does with managed connectors: supply the value, say how often it may be used, take it away.
//!
//! INVARIANT: a value is in force only with the budget that was given with it or before it. A revoked row stays,
//! so that its version goes on counting: no value that was sealed before opens in its place.

use miosa_api::budget::Budget;
use miosa_api::connector::{Connector, Credential};

use super::Definition;
use super::stored::{managed_view, not_found, parse_secret, replace, seal};
use crate::clock::now_ms;
use crate::store::connectors::{self, ConnectorRow, PLATFORM};
use crate::{ApiError, App, bindings};

/// The operator's token of a managed connector, first or new.
pub async fn supply(
    app: &App,
    key: &str,
    credential: &Credential,
    budget: Option<&Budget>,
) -> Result<Connector, ApiError> {
    let definition = app.catalog.managed(key).ok_or_else(|| not_found(key))?;
    let budget = budget.map(stored_budget).transpose()?;
    if let Some(row) = connectors::find(&app.pool, PLATFORM, key).await? {
        if let Some(budget) = budget {
            connectors::set_budget(&app.pool, &row.id, budget.as_deref(), now_ms()).await?;
        }
        return replace(app, &row, credential).await;
    }
    let secret = parse_secret(Some(definition), Some(credential))?;
    let at_ms = now_ms();
    let row = ConnectorRow {
        id: key.to_owned(),
        owner: PLATFORM.to_owned(),
        uid: key.to_owned(),
        provider: definition.provider.clone(),
        scope: PLATFORM.to_owned(),
        version: 1,
        sealed: seal(app, &secret, key, PLATFORM, 1)?,
        budget: budget.flatten(),
        created_at: at_ms,
        updated_at: at_ms,
        ..ConnectorRow::default()
    };
    connectors::insert(&app.pool, &row).await?;
    Ok(managed_view(definition, Some(&row)))
}

/// How often it may be used from now on; answers once every sandbox is held to it.
pub async fn set_budget(app: &App, key: &str, budget: &Budget) -> Result<Connector, ApiError> {
    let (definition, row) = supplied(app, key).await?;
    let budget = stored_budget(budget)?;
    connectors::set_budget(&app.pool, &row.id, budget.as_deref(), now_ms()).await?;
    bindings::push_all_of(app, &row.id).await?;
    shown(app, definition, &row.id).await
}

/// Takes the value away, and the connector off every sandbox; answers once nobody can use it.
pub async fn revoke(app: &App, key: &str) -> Result<Connector, ApiError> {
    let (definition, row) = supplied(app, key).await?;
    connectors::replace(&app.pool, &row, "", now_ms()).await?;
    bindings::detach_all_of(app, &row).await?;
    shown(app, definition, &row.id).await
}

async fn supplied<'a>(app: &'a App, key: &str) -> Result<(&'a Definition, ConnectorRow), ApiError> {
    let definition = app.catalog.managed(key).ok_or_else(|| not_found(key))?;
    let row = super::stored::find(app, PLATFORM, key).await?;
    Ok((definition, row))
}

async fn shown(app: &App, definition: &Definition, id: &str) -> Result<Connector, ApiError> {
    let row = connectors::get_any(&app.pool, id).await?;
    Ok(managed_view(definition, row.as_ref()))
}

/// A budget as it is stored; none for one that limits nothing.
fn stored_budget(budget: &Budget) -> Result<Option<String>, ApiError> {
    if !budget.is_sound() {
        return Err(ApiError::invalid(
            "budget",
            "a limit is at least 1; what shall not be used at all is revoked instead",
        ));
    }
    if budget.is_unlimited() {
        return Ok(None);
    }
    serde_json::to_string(budget)
        .map(Some)
        .map_err(ApiError::internal)
}
