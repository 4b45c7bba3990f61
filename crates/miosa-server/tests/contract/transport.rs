use std::time::Duration;

use futures_util::StreamExt;
use miosa_api::event::Event;
use miosa_api::limits::JSON_BODY_BYTES_MAX;
use miosa_server::store::events;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Caller, World};

pub fn connector(uid: &str) -> Value {
    json!({
        "provider": "anthropic", "type": "api-key", "uid": uid, "scope": "tenant",
        "credential": { "field": "api_key", "value": "sk-ant-api03-a-real-looking-secret" },
    })
}

#[tokio::test]
async fn a_repeated_prefix_is_folded_and_an_encoded_slash_stays_in_its_segment() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    ours.get("/api/v1/whoami").await.data();
    ours.post("/connect/connectors", connector("anthropic/one"))
        .await
        .data();
    for path in [
        "/connect/connectors/anthropic%2Fone",
        "/api/v1/connect/connectors/anthropic%2fone",
    ] {
        assert_eq!(ours.get(path).await.data()["uid"], "anthropic/one");
    }
    ours.get("/connect/connectors/anthropic/one")
        .await
        .is(404, "NOT_FOUND");
    world.stop().await;
}

#[tokio::test]
async fn what_is_no_route_or_another_method_is_told_apart() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let unknown = ours.get("/no/such/thing").await;
    unknown.is(404, "NOT_FOUND");
    assert!(unknown.body["error"]["request_id"].is_string());
    let request = ours.request(Method::PUT, "/whoami");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 405);
    assert!(answer.headers()["allow"].to_str().unwrap().contains("GET"));
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "METHOD_NOT_ALLOWED");
    assert_eq!(body["error"]["request_id"], id);
    world.stop().await;
}

#[tokio::test]
async fn a_body_that_is_wrong_is_refused_with_the_name_of_the_field() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let nested =
        json!({ "provider": "anthropic", "type": "api-key", "credential": { "value": 7 } });
    for (path, body, field) in [
        (
            "/sandboxes",
            json!({ "timeout_sec": "soon" }),
            "timeout_sec",
        ),
        ("/connect/connectors", nested, "credential.value"),
        ("/runs", json!({ "instruction": 7 }), "instruction"),
    ] {
        let refused = ours.post(path, body).await;
        refused.is(400, "BAD_REQUEST");
        let error = &refused.body["error"];
        assert_eq!(error["details"]["field"], field, "{}", refused.text);
        assert!(
            error["message"].as_str().unwrap().contains(field),
            "{}",
            refused.text
        );
    }
    for text in ["{", "{} trailing", "[1]"] {
        let request = ours.request(Method::POST, "/sandboxes");
        let answer = request.body(text).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{text}");
    }
    let refused = ours.get("/sandboxes?page=first").await;
    refused.is(400, "BAD_REQUEST");
    assert!(refused.text.contains("page"), "{}", refused.text);
    world.stop().await;
}

#[tokio::test]
async fn a_body_over_its_limit_is_too_large_with_and_without_an_idempotency_key() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    for key in [None, Some("k")] {
        let mut request = ours.request(Method::POST, "/sandboxes");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let body = vec![b' '; JSON_BODY_BYTES_MAX + 1];
        let answer = request.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 413, "{key:?}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["error"]["code"], "TOO_LARGE");
    }
    world.stop().await;
}

#[tokio::test]
async fn pages_hold_every_row_once_and_no_more_than_asked_for() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    for id in ["s1", "s2", "s3"] {
        world.sandbox(&ours, id, "paused").await;
    }
    let mut seen = Vec::new();
    for (page, rows) in [(1, 2), (2, 1), (3, 0)] {
        let answer = ours
            .get(&format!("/sandboxes?page={page}&page_size=2"))
            .await;
        let data = answer.data().as_array().unwrap();
        assert_eq!(data.len(), rows, "{}", answer.text);
        assert_eq!(
            answer.body["page"],
            json!({ "page": page, "page_size": 2, "total": 3 })
        );
        seen.extend(
            data.iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
    }
    seen.sort();
    assert_eq!(seen, ["s1", "s2", "s3"]);
    let capped = ours.get("/sandboxes?page=0&page_size=100000").await;
    assert_eq!(
        capped.body["page"],
        json!({ "page": 1, "page_size": 100, "total": 3 })
    );
    world.stop().await;
}

async fn first_event(caller: &Caller, path: &str, header: Option<&str>) -> String {
    let mut request = caller.request(Method::GET, path);
    if let Some(last) = header {
        request = request.header("last-event-id", last);
    }
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    let read = async {
        while !text.contains("\n\n") {
            text.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .unwrap();
    text.split("\n\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn events_go_on_after_the_last_one_seen() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "paused").await;
    let pool = world.pool().await;
    for id in 1..=3 {
        let event = Event {
            id,
            kind: format!("sandbox.test{id}"),
            sandbox_id: "s1".to_owned(),
            created_at: String::new(),
            data: json!({}),
        };
        events::insert(&pool, &ours.tenant_id, &event, 0)
            .await
            .unwrap();
    }
    let path = "/sandboxes/s1/events";
    for (path, header, kind) in [
        (path.to_owned(), None, "sandbox.test1"),
        (path.to_owned(), Some("1"), "sandbox.test2"),
        (format!("{path}?last_event_id=2"), None, "sandbox.test3"),
    ] {
        let event = first_event(&ours, &path, header).await;
        assert!(event.contains(&format!("event: {kind}\n")), "{event}");
    }
    world.stop().await;
}
