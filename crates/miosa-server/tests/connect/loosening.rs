//! Who may open what a policy has closed, and what opens nothing.

use serde_json::{Value, json};

use crate::broker::Broker;
use crate::world::{Caller, World};

const POLICIES: &str = "/egress/policies";

async fn mode(of: &Caller, sandbox: &str) -> String {
    let answer = of.get(&format!("/sandboxes/{sandbox}/egress")).await;
    answer.data()["mode"].as_str().unwrap().to_owned()
}

fn network(policy: &Value) -> Value {
    json!({ "metadata": { "network_policy": policy } })
}

#[tokio::test]
async fn rules_alone_do_not_open_a_sandbox_made_with_deny_all() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    let deny = network(&json!({ "mode": "deny-all" }));
    ours.patch("/sandboxes/s1", deny).await.data();
    for rules in [
        json!({ "allowed_domains": ["a.example"] }),
        json!({ "mode": "", "denied_cidrs": ["192.0.2.0/24"] }),
    ] {
        let answer = ours.patch("/sandboxes/s1", network(&rules)).await;
        assert_eq!(
            answer.data()["metadata"]["network_policy"]["mode"],
            "deny-all"
        );
        assert_eq!(mode(&ours, "s1").await, "enforce", "{rules}");
    }
    world.stop().await;
}

#[tokio::test]
async fn metadata_sent_back_as_it_was_does_not_lift_a_lockdown() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    let open = json!({ "mode": "allow-all" });
    ours.patch("/sandboxes/s1", network(&open)).await.data();
    ours.patch(POLICIES, json!({ "mode": "enforce", "resource_id": "s1" }))
        .await
        .data();
    let narrow = world
        .key(&ours, &["sandboxes:write", "sandboxes:read"])
        .await;
    let label = json!({ "metadata": { "network_policy": open, "label": "x" } });
    narrow.patch("/sandboxes/s1", label.clone()).await.data();
    ours.patch("/sandboxes/s1", label).await.data();
    assert_eq!(mode(&ours, "s1").await, "enforce");
    world.stop().await;
}

#[tokio::test]
async fn what_a_policy_closes_is_opened_only_by_who_may_change_policies() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    let scopes = ["sandboxes:write", "sandboxes:create", "sandboxes:read"];
    let narrow = world.key(&ours, &scopes).await;
    let allow = json!({ "allowed_domains": ["evil.example"], "allowed_cidrs": ["192.0.2.0/24"] });
    let deny = json!({ "mode": "deny-all", "denied_cidrs": ["198.51.100.0/24"] });

    // Nothing is closed yet.
    narrow.patch("/sandboxes/s1", network(&allow)).await.data();
    // To close is free, to open again is not.
    narrow.patch("/sandboxes/s1", network(&deny)).await.data();
    for opens in [
        Value::Null,
        json!({ "mode": "allow-all", "denied_cidrs": ["198.51.100.0/24"] }),
        json!({ "mode": "deny-all" }),
        json!({ "mode": "deny-all", "denied_cidrs": ["198.51.100.0/24"], "allowed_domains": ["evil.example"] }),
    ] {
        let answer = narrow.patch("/sandboxes/s1", network(&opens)).await;
        answer.is(403, "FORBIDDEN");
    }
    assert_eq!(mode(&ours, "s1").await, "enforce");
    ours.patch("/sandboxes/s1", network(&Value::Null))
        .await
        .data();
    assert_eq!(mode(&ours, "s1").await, "audit_only");

    ours.patch(POLICIES, json!({ "mode": "enforce" }))
        .await
        .data();
    narrow
        .patch("/sandboxes/s1", network(&allow))
        .await
        .is(403, "FORBIDDEN");
    let metadata = json!({ "network_policy": allow });
    narrow
        .post("/sandboxes", json!({ "metadata": metadata }))
        .await
        .is(403, "FORBIDDEN");
    ours.patch("/sandboxes/s1", network(&allow)).await.data();
    world.stop().await;
}

#[tokio::test]
async fn changes_at_the_same_time_are_both_heard() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    let made = ours.patch(POLICIES, json!({ "mode": "audit_only" })).await;
    let one = format!("{POLICIES}/{}", made.data()["id"].as_str().unwrap());
    for round in 0..30 {
        let observe = ours.patch(&one, json!({ "mode": "audit_only" }));
        observe.await.data();
        tokio::join!(
            async { ours.patch(&one, json!({ "name": "a" })).await.data() == &Value::Null },
            async {
                ours.patch(POLICIES, json!({ "mode": "enforce" }))
                    .await
                    .data()
                    == &Value::Null
            },
            async { ours.patch(&one, json!({ "description": "b" })).await.data() == &Value::Null },
        );
        let policy = ours.get(&one).await;
        assert_eq!(policy.data()["mode"], "enforce", "round {round}");

        let (deny, label) = (
            json!({ "mode": "deny-all" }),
            json!({ "metadata": { "label": round } }),
        );
        ours.patch("/sandboxes/s1", network(&Value::Null))
            .await
            .data();
        let (deny, label) = (network(&deny), label);
        tokio::join!(
            async { ours.patch("/sandboxes/s1", deny).await.data() == &Value::Null },
            async { ours.patch("/sandboxes/s1", label).await.data() == &Value::Null },
        );
        let metadata = ours.get("/sandboxes/s1").await.data()["metadata"].clone();
        assert_eq!(
            (&metadata["network_policy"]["mode"], &metadata["label"]),
            (&json!("deny-all"), &json!(round))
        );
    }
    world.stop().await;
}

#[tokio::test]
async fn a_destroyed_sandbox_is_asked_nothing_and_given_nothing() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "gone", "destroyed").await;
    ours.get("/sandboxes/gone/egress/explain?url=https://a.example")
        .await
        .is(409, "RESOURCE_STATE");
    let rule = json!({ "host": "a.example", "resource_id": "gone" });
    ours.post("/egress/allowlist", rule)
        .await
        .is(404, "NOT_FOUND");
    ours.post("/sandboxes/gone/connectors/sync", json!({}))
        .await
        .is(409, "RESOURCE_STATE");
    world.stop().await;
}

#[tokio::test]
async fn the_broker_forgets_a_sandbox_that_was_stopped() {
    let (world, broker) = Broker::with_world().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "ends", "running").await;
    let rule = json!({ "host": "a.example", "resource_id": "ends" });
    ours.post("/egress/allowlist", rule).await.data();
    assert_eq!(broker.hosts("ends"), ["a.example"]);
    ours.post("/sandboxes/ends/stop", json!({})).await.data();
    assert!(broker.has_forgotten("ends"));
    let rule = json!({ "host": "b.example" });
    ours.post("/egress/allowlist", rule).await.data();
    assert!(
        broker.has_forgotten("ends"),
        "a rule does not bring it back"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_patch_that_fails_leaves_the_broker_with_what_held_before() {
    let (world, broker) = Broker::with_world().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "running").await;
    let rules = |host: &str| network(&json!({ "allowed_domains": [host] }));
    ours.patch("/sandboxes/s1", rules("a.example")).await.data();
    broker.lose_answers(1);
    ours.patch("/sandboxes/s1", rules("b.example"))
        .await
        .is(503, "BROKER_UNAVAILABLE");
    assert_eq!(broker.hosts("s1"), ["a.example"]);
    let metadata = ours.get("/sandboxes/s1").await.data()["metadata"].clone();
    assert_eq!(
        metadata["network_policy"]["allowed_domains"],
        json!(["a.example"])
    );
    world.stop().await;
}

#[tokio::test]
async fn hosts_of_metadata_are_kept_in_the_spelling_they_are_compared_in() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    let rules = json!({ "allowed_domains": [" A.example."] });
    let patched = ours.patch("/sandboxes/s1", network(&rules)).await;
    assert_eq!(
        patched.data()["metadata"]["network_policy"]["allowed_domains"],
        json!(["a.example"])
    );
    let bad = json!({ "allowed_domains": ["a example"] });
    ours.patch("/sandboxes/s1", network(&bad))
        .await
        .is(422, "VALIDATION_FAILED");
    world.stop().await;
}
