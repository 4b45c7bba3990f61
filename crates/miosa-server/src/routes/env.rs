//! Plain variables of a sandbox. A value is taken and used, never shown again whole.

use axum::extract::State;
use axum::response::Response;
use miosa_api::List;
use miosa_api::env::{EnvPut, EnvVar};
use miosa_api::error::ErrorBody;
use miosa_api::limits::ENV_VARS_MAX;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access;
use crate::admission::check_var;
use crate::auth::{Caller, Scope};
use crate::clock::rfc3339;
use crate::http::json::{self, Json, Path};
use crate::http::page;
use crate::store::sandbox_env;
use crate::{ApiError, App, connectors};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, put))
        .routes(routes!(remove))
        .routes(routes!(sync))
}

/// First and last two characters of a long value, dots for the rest.
fn preview(value: &str) -> String {
    let chars: Vec<char> = value.chars().collect();
    if chars.len() < 12 {
        return "••••".to_owned();
    }
    let (head, tail): (String, String) = (
        chars[..2].iter().collect(),
        chars[chars.len() - 2..].iter().collect(),
    );
    format!("{head}••••{tail}")
}

/// Names and shortened values.
#[utoipa::path(get, path = "/sandboxes/{id}/env", tag = "env", params(("id" = String, Path)),
    responses((status = 200, body = List<EnvVar>), (status = 404, body = ErrorBody)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesRead)?;
    access::sandbox(&app, &caller, &id).await?;
    let rows = sandbox_env::list(&app.pool, &id)
        .await?
        .into_iter()
        .map(|row| EnvVar {
            preview: preview(&row.value),
            name: row.name,
            updated_at: rfc3339(row.updated_at),
        });
    Ok(page::whole(rows.collect()))
}

/// Sets variables; others stay. Commands started from now on see them.
#[utoipa::path(put, path = "/sandboxes/{id}/env", tag = "env", params(("id" = String, Path)), request_body = EnvPut,
    responses((status = 200, body = Object), (status = 422, body = ErrorBody)))]
async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json<EnvPut>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    access::sandbox(&app, &caller, &id).await?;
    body.vars
        .iter()
        .try_for_each(|pair| check_var(&pair.key, &pair.value))?;
    let known = sandbox_env::list(&app.pool, &id).await?;
    let added = body
        .vars
        .iter()
        .filter(|pair| known.iter().all(|row| row.name != pair.key))
        .count();
    if known.len() + added > ENV_VARS_MAX {
        return Err(ApiError::invalid(
            "vars",
            format!("more than {ENV_VARS_MAX} variables"),
        ));
    }
    for pair in &body.vars {
        sandbox_env::set(&app.pool, &id, &pair.key, &pair.value).await?;
    }
    let keys: Vec<&str> = body.vars.iter().map(|pair| pair.key.as_str()).collect();
    Ok(json::data(json!({ "status": "set", "env_keys": keys })))
}

/// Removes a variable.
#[utoipa::path(delete, path = "/sandboxes/{id}/env/{name}", tag = "env", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = ErrorBody)))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    access::sandbox(&app, &caller, &id).await?;
    if sandbox_env::remove(&app.pool, &id, &name).await? {
        return Ok(json::no_content());
    }
    Err(ApiError::not_found("variable", &name))
}

/// Nothing is left to do: every command gets the variables as they are when it starts.
#[utoipa::path(post, path = "/sandboxes/{id}/env/sync", tag = "env", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
async fn sync(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::SandboxesWrite)?;
    access::sandbox(&app, &caller, &id).await?;
    let mut keys: Vec<String> = sandbox_env::list(&app.pool, &id)
        .await?
        .into_iter()
        .map(|row| row.name)
        .collect();
    keys.extend(connectors::placeholders(&app, &id).await?.into_keys());
    keys.sort();
    keys.dedup();
    Ok(json::data(json!({ "status": "synced", "env_keys": keys })))
}

#[cfg(test)]
mod tests {
    use super::preview;

    #[test]
    fn a_preview_never_shows_a_short_value_nor_most_of_a_long_one() {
        assert_eq!(preview("hunter2"), "••••");
        assert_eq!(preview("abcdefghijklmnop"), "ab••••op");
    }
}
