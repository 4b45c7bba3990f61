//! Secrets and bindings in the egress API's words: connectors and what they are attached to. A value goes
//! in and never comes back.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use miosa_api::connector::{AttachConnector, CreateConnector, Credential};
use miosa_api::egress::{CreateEgressSecret, EgressSecret, RotateEgressSecret};
use miosa_api::error::ErrorBody;
use miosa_api::{Data, List};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use super::connect::to_its_end;
use super::egress_bindings::binding_view;
use crate::auth::{Caller, Scope};
use crate::clock::rfc3339;
use crate::connectors::stored;
use crate::http::json::{self, Json, Path, Query};
use crate::http::page;
use crate::store::connectors::{self, ConnectorRow};
use crate::{ApiError, App, bindings};

/// Shown for every value: nothing here could read one.
const MASK: &str = "********";
/// What every secret is.
const KIND: &str = "api_key";

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, rotate, delete))
}

fn view(row: &ConnectorRow) -> EgressSecret {
    let name = row
        .uid
        .split_once('/')
        .map_or(row.uid.as_str(), |(_, name)| name);
    EgressSecret {
        id: row.id.clone(),
        name: name.to_owned(),
        uid: row.uid.clone(),
        provider: row.provider.clone(),
        kind: KIND.to_owned(),
        scope: row.scope.clone(),
        workspace_id: row.workspace_id.clone(),
        owner_user_id: None,
        external_user_id: row.external_user_id.clone(),
        external_workspace_id: row.external_workspace_id.clone(),
        masked_value: MASK.to_owned(),
        last_used_at: None,
        expires_at: None,
        metadata: serde_json::Map::new(),
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
    }
}

async fn find(app: &App, caller: &Caller, id: &str) -> Result<ConnectorRow, ApiError> {
    connectors::find(&app.pool, &caller.tenant_id, id)
        .await?
        .ok_or_else(|| ApiError::not_found("secret", id))
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
struct ListQuery {
    provider: String,
    scope: String,
    workspace_id: String,
    external_user_id: String,
    external_workspace_id: String,
    /// Only what is attached to this sandbox.
    resource_id: String,
    /// `sandbox`.
    resource_type: String,
    /// `api_key`: there is no other.
    #[serde(rename = "type")]
    kind: String,
    /// Refused: secrets have no owner but the tenant.
    owner_user_id: String,
}

impl ListQuery {
    /// What cannot be obeyed is refused: without its filter the list would be of something else.
    fn check(&self) -> Result<(), ApiError> {
        let refused = |field, why| Err(ApiError::invalid(field, why));
        if !matches!(self.resource_type.as_str(), "" | "sandbox" | "computer") {
            return refused("resource_type", "secrets are attached to a `sandbox`");
        }
        if !self.owner_user_id.is_empty() {
            return refused("owner_user_id", "a secret belongs to the whole tenant");
        }
        Ok(())
    }

    /// Secrets that are attached to the sandbox that was named, if one was.
    async fn attached(&self, app: &App, caller: &Caller) -> Result<Option<Vec<String>>, ApiError> {
        if self.resource_id.is_empty() {
            return Ok(None);
        }
        let sandbox = access::sandbox(app, caller, &self.resource_id).await?;
        let bound = bindings::live(app, &sandbox.id).await?;
        Ok(Some(bound.into_iter().map(|b| b.connector.id).collect()))
    }
}

/// The tenant's secrets, without their values.
#[utoipa::path(get, path = "/egress/secrets", tag = "egress", params(ListQuery),
    responses((status = 200, body = List<EgressSecret>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    query.check()?;
    let attached = query.attached(&app, &caller).await?;
    let rows = connectors::list(&app.pool, &caller.tenant_id).await?;
    let fits = |wanted: &str, has: Option<&str>| wanted.is_empty() || has == Some(wanted);
    let wanted = rows.iter().filter(|row| {
        attached.as_ref().is_none_or(|ids| ids.contains(&row.id))
            && fits(&query.kind, Some(KIND))
            && fits(&query.provider, Some(&row.provider))
            && fits(&query.scope, Some(&row.scope))
            && fits(&query.workspace_id, row.workspace_id.as_deref())
            && fits(&query.external_user_id, row.external_user_id.as_deref())
            && fits(
                &query.external_workspace_id,
                row.external_workspace_id.as_deref(),
            )
    });
    Ok(page::whole(wanted.map(view).collect()))
}

/// Stores a secret of a provider there is a definition for, and with `expose_as_env` and `resource_id`
/// attaches it.
#[utoipa::path(post, path = "/egress/secrets", tag = "egress", request_body = CreateEgressSecret,
    responses((status = 201, body = Object), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 422, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateEgressSecret>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    refuse_oauth(body.refresh_token.is_some(), body.expires_at.is_some())?;
    let sandbox = match (&body.expose_as_env, &body.resource_id) {
        (Some(_), Some(id)) => Some(access::sandbox(&app, &caller, id).await?),
        _ => None,
    };
    let env_name = body.expose_as_env.clone();
    let request = as_connector(&app, body);
    let tenant_id = caller.tenant_id.clone();
    // Goes on when the caller goes away: a secret is never left half attached.
    let work = async move {
        let made = stored::create(&app, &tenant_id, request).await?;
        let mut binding = None;
        if let Some(sandbox) = sandbox {
            let request = AttachConnector {
                connector: made.id.clone(),
                env_name,
                ..AttachConnector::default()
            };
            match bindings::attach(&app, &sandbox, &request).await {
                Ok(bound) => binding = Some(binding_view(&bound.row)),
                Err(error) => {
                    stored::delete(&app, &tenant_id, &made.id).await?;
                    return Err(error);
                }
            }
        }
        let row = connectors::find(&app.pool, &tenant_id, &made.id).await?;
        let row = row.ok_or_else(|| ApiError::not_found("secret", &made.id))?;
        Ok((view(&row), binding))
    };
    let (secret, binding) = tokio::spawn(work).await.map_err(ApiError::internal)??;
    // At most two keys, or the SDK hands its caller the whole envelope.
    let body = axum::Json(json!({ "data": secret, "binding": binding }));
    Ok((StatusCode::CREATED, body).into_response())
}

/// A secret's provider is named, or known from the first half of its name or from its variable.
fn as_connector(app: &App, body: CreateEgressSecret) -> CreateConnector {
    let named = body.provider.unwrap_or_default();
    let by_env = || {
        let wanted = [body.expose_as_env.as_deref(), Some(body.name.as_str())];
        let env_of = |p: &&str| Some(app.catalog.provider(p)?.default_env_name.as_str());
        app.catalog
            .providers()
            .find(|p| wanted.iter().flatten().any(|w| env_of(p) == Some(*w)))
    };
    let has_provider = body.name.contains('/');
    let provider = if named.is_empty() && !has_provider {
        by_env().unwrap_or_default().to_owned()
    } else {
        named
    };
    CreateConnector {
        provider,
        kind: None,
        name: (!has_provider).then(|| body.name.clone()),
        uid: has_provider.then(|| body.name.clone()),
        scope: Some(body.scope.unwrap_or_else(|| "user".to_owned())),
        workspace_id: body.workspace_id,
        external_user_id: body.external_user_id,
        external_workspace_id: body.external_workspace_id,
        credential: Some(Credential {
            field: None,
            value: body.value,
        }),
    }
}

fn refuse_oauth(refresh_token: bool, expires_at: bool) -> Result<(), ApiError> {
    let given = [("refresh_token", refresh_token), ("expires_at", expires_at)];
    match given.into_iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(ApiError::invalid(
            field,
            "values are not renewed by this server; leave it out and rotate the secret yourself",
        )),
        None => Ok(()),
    }
}

/// One secret, without its value.
#[utoipa::path(get, path = "/egress/secrets/{id}", tag = "egress", params(("id" = String, Path)),
    responses((status = 200, body = Data<EgressSecret>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsRead)?;
    Ok(json::data(view(&find(&app, &caller, &id).await?)))
}

/// Replaces the value; placeholders stay.
#[utoipa::path(patch, path = "/egress/secrets/{id}", tag = "egress", params(("id" = String, Path)),
    request_body = RotateEgressSecret,
    responses((status = 200, body = Data<EgressSecret>), (status = 404, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn rotate(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<RotateEgressSecret>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let row = find(&app, &caller, &id).await?;
    refuse_oauth(body.refresh_token.is_some(), body.expires_at.is_some())?;
    let credential = Credential {
        field: None,
        value: body.value,
    };
    let work = async move {
        stored::rotate(&app, &caller.tenant_id, &row.id, &credential).await?;
        find(&app, &caller, &row.id).await
    };
    Ok(json::data(view(&to_its_end(work).await?)))
}

/// Detaches it from every sandbox and removes it.
#[utoipa::path(delete, path = "/egress/secrets/{id}", tag = "egress", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::ConnectorsWrite)?;
    let row = find(&app, &caller, &id).await?;
    to_its_end(async move { stored::delete(&app, &caller.tenant_id, &row.id).await }).await?;
    Ok(json::no_content())
}
