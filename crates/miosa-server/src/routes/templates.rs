//! Templates: the catalogue, and a tenant's own.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use miosa_api::Data;
use miosa_api::error::{ErrorBody, ErrorCode};
use miosa_api::template::{BuildSpec, Template};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::template_builds::start;
use crate::auth::{Caller, Scope};
use crate::clock::now_ms;
use crate::http::json::{self as answer, Json, Path, Query};
use crate::store::is_taken;
use crate::store::templates::{self as store, TemplateRow};
use crate::templates::catalogue::{ALIASES, Catalogue};
use crate::templates::validate::{Problem, is_id, problems};
use crate::templates::{self, catalogue};
use crate::{ApiError, App};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(validate))
        .routes(routes!(build_spec))
        .routes(routes!(get, delete))
        .routes(routes!(product_catalogue))
        .merge(super::template_builds::routes())
}

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Other names of templates too.
    include_aliases: bool,
}

/// Body of `POST /sandbox-templates`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct CreateTemplate {
    name: String,
    build_spec: BuildSpec,
    /// Its id; made of the name when absent.
    slug: Option<String>,
    #[serde(default)]
    description: String,
}

/// Body of `POST /sandbox-templates/validate`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
struct Validate {
    build_spec: BuildSpec,
}

async fn items(app: &App, catalogue: &Catalogue) -> Result<Vec<Template>, ApiError> {
    let mut items = Vec::new();
    for entry in catalogue.entries() {
        items.push(catalogue.item(app, entry).await?);
    }
    Ok(items)
}

/// All templates this tenant can use.
#[utoipa::path(get, path = "/sandbox-templates", tag = "templates", params(ListQuery), responses((status = 200, body = Object)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesRead)?;
    let catalogue = catalogue(&app, &caller.tenant_id).await?;
    let mut items = items(&app, &catalogue).await?;
    if query.include_aliases {
        for (alias, id) in ALIASES {
            let real = items.iter().find(|item| item.id == id).cloned();
            items.extend(real.map(|real| Template {
                id: alias.to_owned(),
                default: false,
                ..real
            }));
        }
    }
    Ok(
        axum::Json(json!({ "default_template_id": catalogue.default_id(), "data": items }))
            .into_response(),
    )
}

/// One template, by id or alias.
#[utoipa::path(get, path = "/sandbox-templates/{id}", tag = "templates", params(("id" = String, Path)),
    responses((status = 200, body = Data<Template>), (status = 404, body = ErrorBody)))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesRead)?;
    let catalogue = catalogue(&app, &caller.tenant_id).await?;
    Ok(answer::data(
        catalogue.item(&app, catalogue.get(&id)?).await?,
    ))
}

/// Stores a template of the tenant's own and starts its build.
#[utoipa::path(post, path = "/sandbox-templates", tag = "templates", request_body = CreateTemplate,
    responses((status = 201, body = Data<Template>), (status = 409, body = ErrorBody), (status = 422, body = ErrorBody)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CreateTemplate>,
) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesWrite)?;
    let id = body.slug.clone().unwrap_or_else(|| slug_of(&body.name));
    if !is_id(&id) {
        return Err(ApiError::invalid(
            "slug",
            "must be lower case letters, digits and inner dashes, at most 63",
        ));
    }
    let known = catalogue(&app, &caller.tenant_id).await?;
    let taken = || {
        ApiError::new(
            ErrorCode::NameTaken,
            format!("there is a template {id} already"),
        )
    };
    if known.holds(&id) {
        return Err(taken());
    }
    check(&known, &body.build_spec)?;
    let row = TemplateRow {
        tenant_id: caller.tenant_id.clone(),
        id: id.clone(),
        name: body.name,
        description: body.description,
        spec: serde_json::to_string(&body.build_spec).map_err(ApiError::internal)?,
        created_at: now_ms(),
    };
    match store::insert(&app.pool, &row).await {
        Err(error) if is_taken(&error) => return Err(taken()),
        other => other?,
    }
    let known = catalogue(&app, &caller.tenant_id).await?;
    start(&app, &caller.tenant_id, &known, &id).await?;
    Ok(answer::created(known.item(&app, known.get(&id)?).await?))
}

fn slug_of(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    name.chars()
        .map(plain)
        .collect::<String>()
        .trim_matches('-')
        .to_owned()
}

/// Refuses a specification with everything that is wrong with it.
fn check(catalogue: &Catalogue, spec: &BuildSpec) -> Result<(), ApiError> {
    let found = problems(spec);
    if let Some(Problem { field, message }) = found.first() {
        return Err(
            ApiError::new(ErrorCode::InvalidBuildspec, format!("{field}: {message}"))
                .with_details(json!({ "problems": found })),
        );
    }
    catalogue.plan(spec).map(|_| ())
}

/// Says what is wrong with a specification, without storing it.
#[utoipa::path(post, path = "/sandbox-templates/validate", tag = "templates", request_body = Validate,
    responses((status = 200, body = Object)))]
async fn validate(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Validate>,
) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesRead)?;
    let catalogue = catalogue(&app, &caller.tenant_id).await?;
    let mut found = problems(&body.build_spec);
    let plan = catalogue.plan(&body.build_spec);
    if let Err(error) = plan.as_ref()
        && found.is_empty()
    {
        found.push(Problem {
            field: "from".to_owned(),
            message: error.message.clone(),
        });
    }
    let image_id = plan
        .ok()
        .map(|plan| plan.image_id)
        .filter(|_| found.is_empty());
    Ok(answer::data(
        json!({ "valid": found.is_empty(), "problems": found, "image_id": image_id }),
    ))
}

/// The shape of a build specification, with an example.
#[utoipa::path(get, path = "/sandbox-templates/build-spec", tag = "templates", responses((status = 200, body = Object)))]
async fn build_spec(caller: Caller) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesRead)?;
    let schema = serde_json::to_value(<BuildSpec as utoipa::PartialSchema>::schema())
        .map_err(ApiError::internal)?;
    let example = templates::definition::shipped()
        .last()
        .map(|definition| &definition.spec);
    Ok(answer::data(
        json!({ "schema": schema, "example": example }),
    ))
}

/// Removes a template of the tenant's own. Sandboxes made of it keep their layers.
#[utoipa::path(delete, path = "/sandbox-templates/{id}", tag = "templates", params(("id" = String, Path)),
    responses((status = 204), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesWrite)?;
    let catalogue = catalogue(&app, &caller.tenant_id).await?;
    let entry = catalogue.get(&id)?;
    if entry.built_in {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            format!("{id} belongs to the server and cannot be deleted"),
        ));
    }
    if !store::delete(&app.pool, &caller.tenant_id, &id).await? {
        return Err(ApiError::new(
            ErrorCode::TemplateInUse,
            format!("the template {id} has sandboxes"),
        )
        .with_hint("delete them first"));
    }
    Ok(answer::no_content())
}

/// The catalogue in the shape of the product's own pages.
#[utoipa::path(get, path = "/templates", tag = "templates", responses((status = 200, body = Object)))]
async fn product_catalogue(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    caller.require(Scope::TemplatesRead)?;
    let catalogue = catalogue(&app, &caller.tenant_id).await?;
    let items: Vec<Value> = items(&app, &catalogue)
        .await?
        .into_iter()
        .map(product_item)
        .collect();
    Ok(axum::Json(json!({
        "default_template_id": catalogue.default_id(),
        "data": items,
        "templates": items,
        "shape_contracts": [],
        "readiness_states": ["fast_ready", "cold_boot_only", "missing"],
    }))
    .into_response())
}

fn product_item(item: Template) -> Value {
    let readiness = if item.status == "ready" {
        "cold_boot_only"
    } else {
        "missing"
    };
    let mut value = serde_json::to_value(item).unwrap_or_default();
    value["readiness_state"] = Value::from(readiness);
    value
}

#[cfg(test)]
mod tests {
    use super::slug_of;
    use crate::templates::validate::is_id;

    #[test]
    fn a_name_becomes_an_id_or_is_refused() {
        assert_eq!(slug_of("My App 2!"), "my-app-2");
        assert!(!is_id(&slug_of("…")));
    }
}
