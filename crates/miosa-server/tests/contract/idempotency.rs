use reqwest::Method;
use serde_json::{Value, json};

use crate::transport::connector;
use crate::world::{Caller, World};

struct Reply {
    status: u16,
    replayed: bool,
    body: Value,
}

async fn post(caller: &Caller, path: &str, key: &str, body: &Value) -> Reply {
    let request = caller.request(Method::POST, path);
    let answer = request
        .header("idempotency-key", key)
        .json(body)
        .send()
        .await
        .unwrap();
    Reply {
        status: answer.status().as_u16(),
        replayed: answer.headers().contains_key("idempotency-replayed"),
        body: answer.json().await.unwrap(),
    }
}

#[tokio::test]
async fn the_same_request_again_gets_the_same_answer_and_another_is_a_mismatch() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    let path = "/connect/connectors";
    let first = post(&ours, path, "k", &connector("anthropic/one")).await;
    assert_eq!(
        (first.status, first.replayed),
        (201, false),
        "{}",
        first.body
    );
    let again = post(&ours, path, "k", &connector("anthropic/one")).await;
    assert_eq!(
        (again.status, again.replayed),
        (201, true),
        "{}",
        again.body
    );
    assert_eq!(again.body, first.body);

    let other = post(&ours, path, "k", &connector("anthropic/two")).await;
    assert_eq!(other.status, 409);
    assert_eq!(other.body["error"]["code"], "IDEMPOTENCY_PAYLOAD_MISMATCH");
    let elsewhere = post(&ours, "/sandboxes", "k", &connector("anthropic/one")).await;
    assert_eq!(
        elsewhere.body["error"]["code"],
        "IDEMPOTENCY_PAYLOAD_MISMATCH"
    );

    let foreign = post(&theirs, path, "k", &connector("anthropic/one")).await;
    assert_eq!(
        (foreign.status, foreign.replayed),
        (201, false),
        "a key is its tenant's own"
    );
    let fresh = post(&ours, path, "k2", &connector("anthropic/one")).await;
    assert_eq!(
        fresh.status, 409,
        "another key is another request: {}",
        fresh.body
    );
    world.stop().await;
}

#[tokio::test]
async fn a_new_key_is_not_kept_for_a_replay() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "running").await;
    post(&ours, "/sandboxes/s1/expose", "e", &json!({ "port": 3000 })).await;
    for path in ["/api-keys", "/sandboxes/s1/preview-token"] {
        let first = post(&ours, path, "k", &json!({})).await;
        assert!(first.status < 300, "{path}: {}", first.body);
        let again = post(&ours, path, "k", &json!({})).await;
        assert!(!again.replayed, "{path}");
        assert_ne!(again.body, first.body, "{path}");
    }
    world.stop().await;
}

#[tokio::test]
async fn an_answer_is_remembered_for_the_key_that_got_it_alone() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let path = "/connect/connectors";
    let first = post(&ours, path, "k", &connector("anthropic/one")).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let lesser = world.key(&ours, &["sandboxes:read"]).await;
    let again = post(&lesser, path, "k", &connector("anthropic/one")).await;
    assert!(!again.replayed && again.status != 201, "{}", again.body);
    world.stop().await;
}
