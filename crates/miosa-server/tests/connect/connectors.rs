use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Answer, Caller, World};

const MANAGED: &str = "/connect/connectors/refero%2Fdesign-research";
const BUDGET: &str = "/admin/connectors/refero%2Fdesign-research/budget";
const SECRET: &str = "sk-ant-api03-a-real-looking-secret";
const AWS_KEYS: &str =
    r#"{"AccessKeyId":"AKIAEXAMPLE012345678","SecretAccessKey":"a-value-long-enough"}"#;

fn anthropic(name: &str, value: &str) -> Value {
    json!({
        "provider": "anthropic", "type": "api-key", "uid": format!("anthropic/{name}"), "scope": "tenant",
        "credential": { "field": "api_key", "value": value },
    })
}

#[tokio::test]
async fn a_managed_connector_is_there_for_everybody_and_read_by_nobody() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    for caller in [&ours, &theirs] {
        let list = caller.get("/connect/connectors").await;
        let row = &list.data()[0];
        assert_eq!(row["uid"], "refero/design-research");
        assert_eq!(
            (&row["type"], &row["status"]),
            (&json!("managed"), &json!("not_configured"))
        );
        assert_eq!(row["default_env_name"], "REFERO_MCP_TOKEN");
        caller.get(MANAGED).await.data();
    }
    let narrow = world.key(&ours, &["connectors:write", "operator"]).await;
    let body = json!({ "credential": { "value": "the-operators-token" } });
    let supply = "/admin/connectors/refero%2Fdesign-research";
    narrow.post(supply, body.clone()).await.is(403, "FORBIDDEN");
    assert_eq!(
        ours.post(supply, body.clone()).await.data()["status"],
        "connected"
    );
    assert_eq!(ours.post(supply, body.clone()).await.data()["version"], 2);
    ours.post("/admin/connectors/other%2Fone", body.clone())
        .await
        .is(404, "CONNECTOR_NOT_FOUND");

    let list = theirs.get("/connect/connectors").await;
    assert_eq!(list.data()[0]["status"], "connected");
    let token = "/connect/token/refero%2Fdesign-research";
    theirs
        .post(token, json!({}))
        .await
        .is(403, "MANAGED_PROVIDER_BINDING_ONLY");
    ours.post(token, json!({ "subject": { "type": "app" } }))
        .await
        .is(403, "MANAGED_PROVIDER_BINDING_ONLY");
    ours.patch(MANAGED, body)
        .await
        .is(403, "MANAGED_PROVIDER_BINDING_ONLY");
    ours.delete(MANAGED)
        .await
        .is(403, "MANAGED_PROVIDER_BINDING_ONLY");
    world.stop().await;
}

#[tokio::test]
async fn a_budget_is_the_operators_to_set_and_is_kept_over_a_revocation() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let narrow = world.key(&ours, &["connectors:write"]).await;
    let supply = "/admin/connectors/refero%2Fdesign-research";
    let limits = json!({ "per_sandbox": { "per_minute": 5 }, "per_tenant": { "per_day": 100 } });
    async fn put(caller: &Caller, body: Value) -> Answer {
        caller.send(Method::PUT, BUDGET, Some(body)).await
    }
    put(&ours, limits.clone())
        .await
        .is(409, "MANAGED_CONNECTOR_NOT_CONFIGURED");
    let token = json!({ "value": "the-operators-token" });
    let body = json!({ "credential": token, "budget": { "per_sandbox": { "per_day": 7 } } });
    let made = ours.post(supply, body).await;
    assert_eq!(made.data()["budget"]["per_sandbox"]["per_day"], 7);

    put(&narrow, limits.clone()).await.is(403, "FORBIDDEN");
    narrow.delete(supply).await.is(403, "FORBIDDEN");
    let nothing = json!({ "per_sandbox": { "per_day": 0 } });
    put(&ours, nothing).await.is(422, "VALIDATION_FAILED");
    let changed = put(&ours, limits.clone()).await;
    assert_eq!(changed.data()["budget"], limits);

    let gone = ours.delete(supply).await;
    assert_eq!(gone.data()["status"], "not_configured");
    ours.delete(supply)
        .await
        .is(409, "MANAGED_CONNECTOR_NOT_CONFIGURED");
    let again = ours.post(supply, json!({ "credential": token })).await;
    assert_eq!(again.data()["budget"], limits);
    assert_eq!(again.data()["version"], 3);
    let unlimited = put(&ours, json!({})).await;
    assert!(unlimited.data().get("budget").is_none());
    world.stop().await;
}

#[tokio::test]
async fn the_catalog_says_what_can_be_made_and_where_it_may_go() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let answer = ours.get("/connect/catalog").await;
    let entries = answer.data().as_array().unwrap();
    let entry = |key: &str| {
        let of = |e: &&Value| e["provider"] == key;
        entries.iter().find(of).unwrap_or_else(|| panic!("{key}"))
    };
    let gitlab = entry("gitlab");
    assert_eq!(
        (&gitlab["type"], &gitlab["default_env_name"]),
        (&json!("api_key"), &json!("GITLAB_TOKEN"))
    );
    assert_eq!(gitlab["hosts"], json!(["gitlab.com"]));
    assert!(gitlab.get("uid").is_none() && gitlab.get("mcp").is_none());
    let refero = entry("refero");
    assert_eq!(
        (&refero["type"], &refero["uid"], &refero["mcp"]),
        (
            &json!("managed"),
            &json!("refero/design-research"),
            &json!("refero")
        )
    );
    // Each that is not managed can be made.
    for entry in entries.iter().filter(|entry| entry["type"] == "api_key") {
        let value = if entry["provider"] == "aws" {
            AWS_KEYS
        } else {
            "a-value-long-enough"
        };
        let body = json!({ "provider": entry["provider"], "credential": { "value": value } });
        assert_eq!(
            ours.post("/connect/connectors", body).await.status,
            201,
            "{entry}"
        );
    }
    let narrow = world.key(&ours, &["sandboxes:read"]).await;
    narrow.get("/connect/catalog").await.is(403, "FORBIDDEN");
    world.stop().await;
}

#[tokio::test]
async fn a_connector_that_signs_takes_keys_alone() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let with = |value: &str| json!({ "provider": "aws", "credential": { "value": value } });
    let without_secret = AWS_KEYS.replace("SecretAccessKey", "Secret");
    for bad in ["AKIAEXAMPLE012345678", &without_secret] {
        let answer = ours.post("/connect/connectors", with(bad)).await;
        answer.is(422, "INVALID_SECRET");
        assert!(answer.text.contains("SecretAccessKey"), "{}", answer.text);
        assert!(
            !answer.text.contains("EXAMPLE"),
            "an error repeats no value"
        );
    }
    let answer = ours.post("/connect/connectors", with(AWS_KEYS)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let rotated = json!({ "credential": { "value": "a-value-long-enough" } });
    ours.patch("/connect/connectors/aws%2Fdefault", rotated)
        .await
        .is(422, "INVALID_SECRET");
    world.stop().await;
}

#[tokio::test]
async fn a_secret_goes_in_and_no_answer_or_file_holds_it() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let theirs = world.tenant("theirs").await;
    let created = ours
        .post(
            "/connect/connectors",
            anthropic("work", &format!("{SECRET}\n")),
        )
        .await;
    assert_eq!(created.status, 201);
    let id = created.data()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.data()["uid"], "anthropic/work");
    assert_eq!(
        (&created.data()["type"], &created.data()["version"]),
        (&json!("api_key"), &json!(1))
    );
    let rotated = ours
        .patch(
            "/connect/connectors/anthropic%2Fwork",
            json!({ "credential": { "value": format!("{SECRET}-2") } }),
        )
        .await;
    assert_eq!(rotated.data()["version"], 2);
    let default = json!({ "provider": "OpenAI", "credential": { "value": SECRET } });
    assert_eq!(
        ours.post("/connect/connectors", default).await.data()["uid"],
        "openai/default"
    );

    for path in [
        "/connect/connectors",
        "/connect/connectors/anthropic%2Fwork",
        &format!("/connect/connectors/{id}"),
    ] {
        let answer = ours.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.text.contains(SECRET), "{path}");
    }
    // Another tenant sees none of it, by name or by id, and may have the same name.
    assert_eq!(
        theirs
            .get("/connect/connectors")
            .await
            .data()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for key in ["anthropic%2Fwork", &id] {
        let path = format!("/connect/connectors/{key}");
        theirs.get(&path).await.is(404, "CONNECTOR_NOT_FOUND");
        theirs.delete(&path).await.is(404, "CONNECTOR_NOT_FOUND");
        theirs
            .post(&format!("/connect/token/{key}"), json!({}))
            .await
            .is(404, "CONNECTOR_NOT_FOUND");
    }
    assert_eq!(
        theirs
            .post("/connect/connectors", anthropic("work", SECRET))
            .await
            .status,
        201
    );
    ours.post("/connect/connectors", anthropic("work", SECRET))
        .await
        .is(409, "NAME_TAKEN");
    // The broker opens it, and there is none.
    ours.post("/connect/token/anthropic%2Fwork", json!({}))
        .await
        .is(503, "BROKER_UNAVAILABLE");
    assert_eq!(
        ours.delete("/connect/connectors/anthropic%2Fwork")
            .await
            .status,
        204
    );
    ours.get("/connect/connectors/anthropic%2Fwork")
        .await
        .is(404, "CONNECTOR_NOT_FOUND");

    let mut files = 0;
    for entry in fs_err::read_dir(world.folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            files += 1;
            let bytes = fs_err::read(&path).unwrap();
            assert!(
                !bytes.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()),
                "{}",
                path.display()
            );
        }
    }
    assert!(files > 0, "there was a database to search");
    world.stop().await;
}

#[tokio::test]
async fn what_is_no_secret_or_no_name_is_refused_with_a_code() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    for bad in [
        "",
        "   \n",
        "two\nlines-of-it",
        "schlüssel-schlüssel",
        "ab12",
        &"x".repeat(9000),
    ] {
        let answer = ours
            .post("/connect/connectors", anthropic("bad", bad))
            .await;
        answer.is(422, "INVALID_SECRET");
        assert!(
            bad.trim().is_empty() || !answer.text.contains(bad),
            "an error repeats no value"
        );
    }
    let with = |change: fn(&mut Value)| {
        let mut body = anthropic("x", SECRET);
        change(&mut body);
        body
    };
    let rows: [(fn(&mut Value), &str); 7] = [
        (|b| b["provider"] = json!("nobody"), "UNKNOWN_PROVIDER"),
        (|b| b["provider"] = json!("refero"), "UNKNOWN_PROVIDER"),
        (|b| b["uid"] = json!("openai/x"), "VALIDATION_FAILED"),
        (|b| b["uid"] = json!("anthropic/a b"), "VALIDATION_FAILED"),
        (
            |b| b["uid"] = json!("refero/design-research"),
            "VALIDATION_FAILED",
        ),
        (|b| b["scope"] = json!("workspace"), "VALIDATION_FAILED"),
        (|b| b["type"] = json!("oauth"), "VALIDATION_FAILED"),
    ];
    for (change, code) in rows {
        ours.post("/connect/connectors", with(change))
            .await
            .is(422, code);
    }
    let reader = world.key(&ours, &["connectors:read"]).await;
    reader
        .post("/connect/connectors", anthropic("x", SECRET))
        .await
        .is(403, "FORBIDDEN");
    assert_eq!(
        ours.get("/connect/connectors")
            .await
            .data()
            .as_array()
            .unwrap()
            .len(),
        1,
        "nothing half made"
    );
    world.stop().await;
}

#[tokio::test]
async fn nobody_else_on_the_host_reads_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::start().await;
    world.tenant("a").await;
    for name in ["miosa.db", "miosa.db-wal"] {
        let file = fs_err::metadata(world.folder.path().join("data").join(name)).unwrap();
        assert_eq!(file.permissions().mode() & 0o077, 0, "{name}");
    }
    world.stop().await;
}
