use serde_json::json;

use crate::broker::Broker;
use crate::world::World;

const SECRETS: &str = "/egress/secrets";

#[tokio::test]
async fn a_secret_is_a_connector_in_other_words_and_its_value_stays_inside() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    world.sandbox(&ours, "s1", "stopped").await;
    let value = "sk-ant-api03-very-secret-value";
    let body = json!({ "name": "ANTHROPIC_API_KEY", "value": value, "type": "api_key" });
    let made = ours.post(SECRETS, body.clone()).await;
    assert_eq!(
        (made.status, made.body.as_object().unwrap().len()),
        (201, 2),
        "{}",
        made.text
    );
    let secret = made.data().clone();
    assert_eq!(
        (
            &secret["uid"],
            &secret["scope"],
            &secret["masked_value"],
            &made.body["binding"]
        ),
        (
            &json!("anthropic/ANTHROPIC_API_KEY"),
            &json!("user"),
            &json!("********"),
            &json!(null)
        )
    );
    ours.post(SECRETS, body).await.is(409, "NAME_TAKEN");
    let one = format!("{SECRETS}/{}", secret["id"].as_str().unwrap());
    let rotated = ours
        .patch(&one, json!({ "value": "sk-ant-api03-another-value" }))
        .await;
    assert_eq!(rotated.data()["id"], secret["id"]);
    for answer in [ours.get(SECRETS).await, ours.get(&one).await, rotated] {
        assert!(
            answer.status == 200 && !answer.text.contains("sk-ant"),
            "{}",
            answer.text
        );
    }
    assert_eq!(
        ours.get(&format!("{SECRETS}?provider=openai")).await.data(),
        &json!([])
    );

    for (body, status, code) in [
        (
            json!({ "name": "SOMETHING", "value": value }),
            422,
            "UNKNOWN_PROVIDER",
        ),
        (
            json!({ "name": "openai/x", "value": "" }),
            422,
            "INVALID_SECRET",
        ),
        (
            json!({ "name": "openai/x", "value": value, "refresh_token": "r" }),
            422,
            "VALIDATION_FAILED",
        ),
        (
            json!({ "name": "openai/x", "value": value, "expose_as_env": "K", "resource_id": "nobody" }),
            404,
            "NOT_FOUND",
        ),
        // There is no broker to attach it at: nothing is left of it.
        (
            json!({ "name": "openai/x", "value": value, "expose_as_env": "K", "resource_id": "s1" }),
            503,
            "BROKER_UNAVAILABLE",
        ),
    ] {
        ours.post(SECRETS, body).await.is(status, code);
    }
    assert_eq!(ours.get(SECRETS).await.data().as_array().unwrap().len(), 1);
    let bind = json!({ "secret_id": secret["id"], "resource_id": "s1", "resource_type": "sandbox", "expose_as_env": "K" });
    ours.post("/egress/bindings", bind.clone())
        .await
        .is(503, "BROKER_UNAVAILABLE");
    assert_eq!(ours.get("/egress/bindings").await.data(), &json!([]));

    theirs.get(&one).await.is(404, "NOT_FOUND");
    theirs
        .patch(&one, json!({ "value": value }))
        .await
        .is(404, "NOT_FOUND");
    theirs.delete(&one).await.is(404, "NOT_FOUND");
    theirs
        .post("/egress/bindings", bind)
        .await
        .is(404, "NOT_FOUND");
    assert_eq!(theirs.get(SECRETS).await.data(), &json!([]));
    let narrow = world.key(&ours, &["connectors:read"]).await;
    narrow.delete(&one).await.is(403, "FORBIDDEN");
    assert_eq!(ours.delete(&one).await.status, 204);
    ours.get(&one).await.is(404, "NOT_FOUND");
    world.stop().await;
}

#[tokio::test]
async fn secrets_are_narrowed_by_every_word_that_is_given() {
    let (world, _broker) = Broker::with_world().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    world.sandbox(&ours, "s1", "stopped").await;
    world.sandbox(&theirs, "s2", "stopped").await;
    let secret = |name: &str| json!({ "name": name, "value": "sk-ant-api03-very-secret-value" });
    let bound = ours.post(SECRETS, secret("anthropic/a")).await.data()["id"].clone();
    ours.post(SECRETS, secret("openai/b")).await.data();
    let binding = json!({ "secret_id": bound, "resource_id": "s1", "expose_as_env": "KEY" });
    let made = ours.post("/egress/bindings", binding).await.data()["id"].clone();
    let count = async |query: &str| {
        let answer = ours.get(&format!("{SECRETS}?{query}")).await;
        answer.data().as_array().unwrap().len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("resource_id=s1&resource_type=sandbox").await, 1);
    assert_eq!(count("type=api_key").await, 2);
    assert_eq!(count("type=oauth").await, 0);
    for (query, status) in [
        ("resource_id=s2", 404),
        ("resource_type=workspace", 422),
        ("owner_user_id=u", 422),
    ] {
        let answer = ours.get(&format!("{SECRETS}?{query}")).await;
        assert_eq!(answer.status, status, "{query}");
    }

    let one = format!("/egress/bindings/{}", made.as_str().unwrap());
    theirs.delete(&one).await.is(404, "NOT_FOUND");
    assert_eq!(ours.delete(&one).await.status, 204);
    assert_eq!(count("resource_id=s1").await, 0);
    world.stop().await;
}
