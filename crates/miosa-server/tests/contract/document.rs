use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::Value;

use crate::world::World;

/// One operation of the description.
pub struct Operation {
    pub method: Method,
    /// Below `/api/v1`.
    pub path: String,
    pub open: bool,
    pub body: Option<Value>,
}

pub fn document() -> Value {
    serde_json::to_value(miosa_server::openapi()).unwrap()
}

/// Everything below `/api/v1`.
pub fn operations() -> Vec<Operation> {
    let document = document();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1") else {
            continue;
        };
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            all.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.to_owned(),
                open: operation["security"] == serde_json::json!([{}]),
                body: (!schema.is_null()).then(|| smallest(&document, schema)),
            });
        }
    }
    all
}

/// The smallest value of a schema: its required fields alone.
fn smallest(document: &Value, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.trim_start_matches('#');
        return smallest(document, document.pointer(pointer).unwrap());
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(first) = schema[choice].get(0) {
            return smallest(document, first);
        }
    }
    match schema["type"].as_str() {
        Some("string") => "x".into(),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => false.into(),
        Some("array") => Value::Array(Vec::new()),
        _ => {
            let required = schema["required"].as_array().into_iter().flatten();
            let field = |name: &Value| {
                let name = name.as_str()?;
                let value = smallest(document, &schema["properties"][name]);
                Some((name.to_owned(), value))
            };
            Value::Object(required.filter_map(field).collect())
        }
    }
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi/miosa.json")
}

#[test]
fn the_committed_description_is_the_one_the_routes_make() {
    let text = format!("{}\n", miosa_server::openapi().to_pretty_json().unwrap());
    if std::env::var_os("MIOSA_BLESS").is_some_and(|value| value == "1") {
        fs_err::create_dir_all(committed().parent().unwrap()).unwrap();
        fs_err::write(committed(), &text).unwrap();
    }
    let stored = fs_err::read_to_string(committed()).unwrap();
    assert!(
        stored == text,
        "openapi/miosa.json is stale: run this test with MIOSA_BLESS=1"
    );
}

#[test]
fn names_of_operations_are_unique_and_references_lead_somewhere() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name), "{path}: {name} is there twice");
        }
    }
    let text = document.to_string();
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
}

/// `routes!` takes the path of the description; `.route(` takes one of its own.
#[test]
fn every_route_set_by_hand_is_described() {
    let document = document();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes");
    let mut seen = 0;
    for entry in fs_err::read_dir(folder).unwrap() {
        let text = fs_err::read_to_string(entry.unwrap().path()).unwrap();
        for part in text.split(".route(").skip(1) {
            let path = part.split('"').nth(1).unwrap();
            let described = &document["paths"][format!("/api/v1{path}")];
            let head = part.split('\n').next().unwrap();
            for method in ["get", "post", "put", "patch", "delete"] {
                let set = head.contains(&format!("on_{method}("))
                    || head.contains(&format!(").{method}("));
                assert_eq!(set, described.get(method).is_some(), "{method} {path}");
            }
            seen += 1;
        }
    }
    assert!(
        seen >= 9,
        "the older names of /runs are set by hand: {seen}"
    );
}

#[tokio::test]
async fn the_server_serves_its_description_to_everybody_and_every_route_in_it() {
    let world = World::start().await;
    let url = format!("{}/openapi.json", world.base);
    let served: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(served, document());
    let caller = world.tenant("ours").await;
    for operation in operations() {
        // A method no route has: 405 from a path that is served, 404 from one that is not.
        let answer = caller.send(Method::TRACE, &operation.path, None).await;
        answer.is(405, "METHOD_NOT_ALLOWED");
    }
    world.stop().await;
}
