use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::document::operations;
use crate::world::World;

#[tokio::test]
async fn no_route_but_the_open_ones_answers_without_a_key() {
    let world = World::start().await;
    let mut refused = 0;
    for operation in operations().iter().filter(|operation| !operation.open) {
        let url = format!("{}{}", world.base, operation.path);
        let answer = Client::new()
            .request(operation.method.clone(), url)
            .header("x-request-id", "seen-before")
            .send()
            .await
            .unwrap();
        let what = format!("{} {}", operation.method, operation.path);
        assert_eq!(answer.status(), 401, "{what}");
        assert_eq!(answer.headers()["x-request-id"], "seen-before", "{what}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "UNAUTHORIZED", "{what}");
        assert_eq!(body["error"]["request_id"], "seen-before", "{what}");
        refused += 1;
    }
    assert!(refused > 100, "{refused}");
    world.stop().await;
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_in_the_canonical_shape() {
    let world = World::start().await;
    for header in [
        "Bearer msk_u_unknown",
        "Bearer ",
        "Basic bXNrOng=",
        "msk_u_unknown",
    ] {
        let answer = Client::new()
            .get(format!("{}/whoami", world.base))
            .header("authorization", header)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 401, "{header}");
        let id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let body: Value = answer.json().await.unwrap();
        let error = &body["error"];
        assert_eq!(error["code"], "UNAUTHORIZED");
        assert_eq!(error["request_id"], id);
        assert_eq!(error["retryable"], false);
        assert!(
            error["message"].is_string() && error["hint"].is_string(),
            "{body}"
        );
    }
    world.stop().await;
}

#[tokio::test]
async fn a_key_without_the_scope_is_forbidden() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let reader = world.key(&ours, &["sandboxes:read"]).await;
    reader.get("/sandboxes").await.data();
    let refused = reader.post("/sandboxes", json!({})).await;
    refused.is(403, "FORBIDDEN");
    assert!(
        refused.body["error"]["request_id"].is_string(),
        "{}",
        refused.text
    );
    world.stop().await;
}

#[tokio::test]
async fn a_key_speaks_for_its_own_tenant_alone() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    for (tenant, status) in [
        ("ours", 200),
        (ours.tenant_id.as_str(), 200),
        ("theirs", 403),
        (theirs.tenant_id.as_str(), 403),
    ] {
        let request = ours.request(Method::GET, "/whoami");
        let answer = request
            .header("x-miosa-tenant", tenant)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{tenant}");
        let body: Value = answer.json().await.unwrap();
        if status == 403 {
            assert_eq!(body["error"]["code"], "INVALID_TENANT_CONTEXT");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_changes_nothing() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let own = world.base.trim_end_matches("/api/v1").to_owned();
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        (own.as_str(), 201),
    ] {
        let request = ours.request(Method::POST, "/api-keys");
        let answer = request
            .header("origin", origin)
            .json(&json!({}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status, "{origin}");
    }
    let request = ours.request(Method::GET, "/whoami");
    let answer = request
        .header("origin", "https://evil.example")
        .send()
        .await
        .unwrap();
    let allowed = answer.headers().get("access-control-allow-origin");
    assert!(allowed.is_none(), "no page may read the answer");
    world.stop().await;
}
