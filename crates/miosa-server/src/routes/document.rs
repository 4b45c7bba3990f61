//! The API's description, made from the routes themselves, and what is open to everybody.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Value, json};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Deprecated, OpenApi};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::http::entry::API;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "miosa", description = "Sandboxes for AI agents that never hold a credential."),
    security(("key" = [])),
    modifiers(&Key)
)]
struct Doc;

struct Key;

impl Modify for Key {
    fn modify(&self, document: &mut OpenApi) {
        document
            .components
            .get_or_insert_with(Components::new)
            .add_security_scheme(
                "key",
                SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
            );
    }
}

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(document))
}

pub(super) fn root_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health))
}

/// An empty description that the routes are nested in.
pub(super) fn base() -> OpenApi {
    Doc::openapi()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "server", security(()), responses((status = 200, body = Object)))]
async fn document() -> Response {
    static TEXT: LazyLock<String> =
        LazyLock::new(|| super::openapi().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// Whether the server answers, and its version.
#[utoipa::path(get, path = "/health", tag = "server", security(()), responses((status = 200, body = Object)))]
async fn health() -> axum::Json<Value> {
    axum::Json(json!({ "ok": true, "version": env!("CARGO_PKG_VERSION") }))
}

/// Makes names of operations unique and paths plain, and adds the older names of `/runs`.
pub(super) fn finish(mut document: OpenApi) -> OpenApi {
    let mut paths = BTreeMap::new();
    for (path, item) in std::mem::take(&mut document.paths.paths) {
        let path = path.replace("{*", "{");
        if let Some(rest) = path.strip_prefix(&format!("{API}/runs")) {
            let older = format!("{API}/agent-runs{rest}");
            let mut copy = item.clone();
            for (_, operation) in operations(&mut copy) {
                operation.deprecated = Some(Deprecated::True);
            }
            paths.insert(older, copy);
        }
        paths.insert(path, item);
    }
    for (path, item) in &mut paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(name(method, path));
        }
    }
    document.paths.paths = paths;
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `get /api/v1/sandboxes/{id}/env` is `get_sandboxes_id_env`.
fn name(method: &str, path: &str) -> String {
    let words = path
        .trim_start_matches(API)
        .split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .fold(method.to_owned(), |name, word| format!("{name}_{word}"))
}
