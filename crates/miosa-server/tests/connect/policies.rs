use miosa_api::audit::AuditEvent;
use serde_json::{Value, json};

use crate::world::{Answer, Caller, World};

const POLICIES: &str = "/egress/policies";
const RULES: &str = "/egress/allowlist";

fn hosts(answer: &Answer) -> Vec<String> {
    let rows = answer.data().as_array().unwrap().iter();
    rows.map(|row| row["host"].as_str().unwrap().to_owned())
        .collect()
}

async fn effective(of: &Caller, sandbox: &str) -> (Value, Value, Vec<String>) {
    let answer = of.get(&format!("/sandboxes/{sandbox}/egress")).await;
    let data = answer.data();
    let rules = data["rules"].as_array().unwrap().iter();
    let rules = rules.map(|r| {
        format!(
            "{} {}",
            r["effect"].as_str().unwrap(),
            r["host"].as_str().unwrap()
        )
    });
    (
        data["mode"].clone(),
        data["set_by"].clone(),
        rules.collect(),
    )
}

#[tokio::test]
async fn policies_are_made_changed_and_taken_away() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    let made = ours
        .post(
            POLICIES,
            json!({ "name": "strict", "resource_id": "s1", "resource_type": "sandbox" }),
        )
        .await;
    assert_eq!(
        (made.status, made.body.as_object().unwrap().len()),
        (201, 1)
    );
    let policy = made.data().clone();
    assert_eq!(
        (
            &policy["mode"],
            &policy["default_effect"],
            &policy["resource_id"],
            &policy["rules"]
        ),
        (&json!("enforce"), &json!("deny"), &json!("s1"), &json!([]))
    );
    let id = policy["id"].as_str().unwrap().to_owned();
    let one = format!("{POLICIES}/{id}");
    let rule = ours
        .post(RULES, json!({ "host": "API.example.com", "methods": ["get"], "path_glob": "/v1/**", "policy_id": id, "note": "n" }))
        .await;
    let rule = rule.data();
    assert_eq!(
        (
            &rule["host"],
            &rule["methods"],
            &rule["effect"],
            &rule["resource_id"],
            &rule["resource_type"]
        ),
        (
            &json!("api.example.com"),
            &json!(["GET"]),
            &json!("allow"),
            &json!("s1"),
            &json!("sandbox")
        )
    );
    assert_eq!(ours.get(&one).await.data()["rules"][0]["id"], rule["id"]);
    let list = ours.get(POLICIES).await;
    assert!(
        list.body.as_object().unwrap().len() <= 2,
        "the SDK unwraps at most two keys"
    );
    assert_eq!(list.data()[0]["rules"][0]["id"], rule["id"]);
    assert_eq!(
        effective(&ours, "s1").await,
        (
            json!("enforce"),
            json!(id),
            vec!["allow api.example.com".to_owned()]
        )
    );

    let observed = ours
        .patch(&one, json!({ "mode": "audit_only", "description": "d" }))
        .await;
    assert_eq!(
        (&observed.data()["mode"], &observed.data()["name"]),
        (&json!("audit_only"), &json!("strict"))
    );
    assert_eq!(effective(&ours, "s1").await.0, "audit_only");
    assert_eq!(ours.delete(&one).await.status, 204);
    ours.get(&one).await.is(404, "NOT_FOUND");
    assert_eq!(
        ours.get(RULES).await.data(),
        &json!([]),
        "its rules are gone with it"
    );
    world.stop().await;
}

#[tokio::test]
async fn lockdown_and_observe_need_no_policy_and_the_strictest_level_holds() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    world.sandbox(&ours, "s2", "stopped").await;
    assert_eq!(
        effective(&ours, "s1").await,
        (json!("audit_only"), json!("default"), vec![])
    );

    let locked = ours.patch(POLICIES, json!({ "mode": "enforce" })).await;
    assert_eq!(
        (
            &locked.data()["resource_type"],
            &locked.data()["resource_id"]
        ),
        (&json!("tenant"), &json!(null))
    );
    assert_eq!(effective(&ours, "s1").await.1, locked.data()["id"]);
    let own = ours
        .patch(
            POLICIES,
            json!({ "mode": "audit_only", "resource_id": "s1" }),
        )
        .await;
    assert_eq!(
        effective(&ours, "s1").await.0,
        "audit_only",
        "set on the sandbox"
    );
    assert_eq!(effective(&ours, "s2").await.0, "enforce");
    let again = ours
        .patch(
            POLICIES,
            json!({ "mode": "enforce", "resource_id": "s1", "resource_type": "sandbox" }),
        )
        .await;
    assert_eq!(
        again.data()["id"],
        own.data()["id"],
        "one policy, not another"
    );

    // Lockdown is lockdown, whatever the default effect was.
    let one = format!("{POLICIES}/{}", own.data()["id"].as_str().unwrap());
    ours.patch(&one, json!({ "default_effect": "allow" }))
        .await
        .data();
    assert_eq!(effective(&ours, "s1").await.0, "audit_only");
    ours.patch(POLICIES, json!({ "mode": "enforce", "resource_id": "s1" }))
        .await
        .data();
    assert_eq!(effective(&ours, "s1").await.0, "enforce");

    // The older way speaks to the same policy, for a key that may.
    let opened = json!({ "metadata": { "network_policy": { "mode": "allow-all" } } });
    let narrow = world
        .key(&ours, &["sandboxes:write", "sandboxes:read"])
        .await;
    narrow
        .patch("/sandboxes/s1", opened.clone())
        .await
        .is(403, "FORBIDDEN");
    assert_eq!(effective(&ours, "s1").await.0, "enforce");
    ours.patch("/sandboxes/s1", opened).await.data();
    assert_eq!(effective(&ours, "s1").await.0, "audit_only");
    let ranges =
        json!({ "metadata": { "network_policy": { "mode": "", "denied_cidrs": ["10.0.0.0/8"] } } });
    ours.patch(POLICIES, json!({ "mode": "enforce", "resource_id": "s1" }))
        .await
        .data();
    ours.patch("/sandboxes/s1", ranges).await.data();
    assert_eq!(
        effective(&ours, "s1").await.0,
        "enforce",
        "a mode that is not named changes nothing"
    );
    world.stop().await;
}

#[tokio::test]
async fn rules_of_every_level_hold_for_the_sandboxes_they_reach() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    world.sandbox(&ours, "s2", "stopped").await;
    for (body, status) in [
        (json!({ "host": "all.example" }), 201),
        (
            json!({ "host": "w.example", "resource_type": "workspace", "resource_id": "w" }),
            201,
        ),
        (
            json!({ "host": "bad.example", "effect": "deny", "resource_id": "s1" }),
            201,
        ),
        (
            json!({ "host": "x.example", "resource_type": "planet", "resource_id": "s1" }),
            422,
        ),
        (
            json!({ "host": "x.example", "resource_type": "sandbox" }),
            422,
        ),
        (
            json!({ "host": "x.example", "resource_type": "tenant", "resource_id": "s1" }),
            422,
        ),
        (json!({ "host": "x.example", "resource_id": "nobody" }), 404),
        (json!({ "host": "x.example", "effect": "perhaps" }), 400),
    ] {
        assert_eq!(
            ours.post(RULES, body.clone()).await.status,
            status,
            "{body}"
        );
    }
    assert_eq!(
        effective(&ours, "s1").await.2,
        ["allow all.example", "deny bad.example"]
    );
    assert_eq!(effective(&ours, "s2").await.2, ["allow all.example"]);
    assert_eq!(
        hosts(&ours.get(&format!("{RULES}?resource_type=workspace")).await),
        ["w.example"]
    );
    assert_eq!(
        hosts(&ours.get(&format!("{RULES}?resource_id=s1")).await),
        ["bad.example"]
    );
    for (body, field) in [
        (json!({ "host": "" }), "host"),
        (json!({ "host": "*" }), "host"),
        (json!({ "host": "https://a.example/" }), "host"),
        (json!({ "host": "a.example:443" }), "host"),
        (json!({ "host": "10.1.2.3/8" }), "host"),
        (
            json!({ "host": "a.example", "methods": ["CONNECT"] }),
            "methods",
        ),
        (
            json!({ "host": "a.example", "path_glob": "v1" }),
            "path_glob",
        ),
        (
            json!({ "host": "a.example", "path_glob": "/v1*" }),
            "path_glob",
        ),
    ] {
        let answer = ours.post(RULES, body.clone()).await;
        answer.is(422, "VALIDATION_FAILED");
        assert_eq!(answer.body["error"]["details"]["field"], field, "{body}");
    }
    assert_eq!(
        ours.get(RULES).await.data().as_array().unwrap().len(),
        3,
        "nothing half made"
    );
    world.stop().await;
}

#[tokio::test]
async fn another_tenant_sees_and_changes_nothing_and_a_narrow_key_reads_alone() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    world.sandbox(&ours, "s1", "stopped").await;
    let policy = ours
        .post(POLICIES, json!({ "resource_id": "s1" }))
        .await
        .data()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let rule = ours
        .post(RULES, json!({ "host": "a.example" }))
        .await
        .data()["id"]
        .as_str()
        .unwrap()
        .to_owned();

    assert_eq!(theirs.get(POLICIES).await.data(), &json!([]));
    assert_eq!(theirs.get(RULES).await.data(), &json!([]));
    let (one, other) = (format!("{POLICIES}/{policy}"), format!("{RULES}/{rule}"));
    theirs.get(&one).await.is(404, "NOT_FOUND");
    theirs
        .patch(&one, json!({ "mode": "audit_only" }))
        .await
        .is(404, "NOT_FOUND");
    theirs.delete(&one).await.is(404, "NOT_FOUND");
    theirs.delete(&other).await.is(404, "NOT_FOUND");
    let here = json!({ "resource_id": "s1", "mode": "audit_only", "host": "b.example" });
    for path in [POLICIES, RULES] {
        theirs.post(path, here.clone()).await.is(404, "NOT_FOUND");
    }
    theirs.patch(POLICIES, here).await.is(404, "NOT_FOUND");
    theirs
        .post(RULES, json!({ "host": "b.example", "policy_id": policy }))
        .await
        .is(404, "NOT_FOUND");
    for path in ["/egress/audit/suggestions", "/egress/pending"] {
        theirs
            .get(&format!("{path}?resource_id=s1"))
            .await
            .is(404, "NOT_FOUND");
    }
    theirs
        .get("/sandboxes/s1/egress")
        .await
        .is(404, "NOT_FOUND");
    theirs
        .get("/sandboxes/s1/egress/explain?url=https://a.example")
        .await
        .is(404, "NOT_FOUND");

    let reader = world.key(&ours, &["network:read"]).await;
    assert_eq!(hosts(&reader.get(RULES).await), ["a.example"]);
    reader.get("/egress/pending").await.is(403, "FORBIDDEN");
    for (path, body) in [
        (POLICIES, json!({})),
        (RULES, json!({ "host": "b.example" })),
    ] {
        reader.post(path, body).await.is(403, "FORBIDDEN");
    }
    reader
        .patch(POLICIES, json!({ "mode": "audit_only" }))
        .await
        .is(403, "FORBIDDEN");
    reader.patch(&one, json!({})).await.is(403, "FORBIDDEN");
    reader.delete(&one).await.is(403, "FORBIDDEN");
    reader.delete(&other).await.is(403, "FORBIDDEN");
    let auditor = world.key(&ours, &["audit:read"]).await;
    auditor.get(RULES).await.is(403, "FORBIDDEN");
    auditor
        .get("/sandboxes/s1/egress")
        .await
        .is(403, "FORBIDDEN");
    assert_eq!(ours.get(&one).await.data()["mode"], "enforce");
    world.stop().await;
}

#[tokio::test]
async fn what_the_broker_cannot_be_told_is_not_changed() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "stopped").await;
    let policy = ours
        .post(POLICIES, json!({ "mode": "audit_only" }))
        .await
        .data()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let rule = ours
        .post(RULES, json!({ "host": "a.example", "policy_id": policy }))
        .await
        .data()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    // From here on something runs, and there is no broker to tell.
    world.sandbox(&ours, "s2", "running").await;
    let (one, other) = (format!("{POLICIES}/{policy}"), format!("{RULES}/{rule}"));
    let before = (ours.get(POLICIES).await.text, ours.get(RULES).await.text);
    ours.post(POLICIES, json!({}))
        .await
        .is(503, "BROKER_UNAVAILABLE");
    ours.post(RULES, json!({ "host": "b.example" }))
        .await
        .is(503, "BROKER_UNAVAILABLE");
    ours.patch(POLICIES, json!({ "mode": "enforce" }))
        .await
        .is(503, "BROKER_UNAVAILABLE");
    ours.patch(&one, json!({ "mode": "enforce", "name": "x" }))
        .await
        .is(503, "BROKER_UNAVAILABLE");
    ours.delete(&one).await.is(503, "BROKER_UNAVAILABLE");
    ours.delete(&other).await.is(503, "BROKER_UNAVAILABLE");
    assert_eq!(
        (ours.get(POLICIES).await.text, ours.get(RULES).await.text),
        before
    );
    // What reaches only the sandbox that does not run needs no broker.
    assert_eq!(
        ours.post(RULES, json!({ "host": "b.example", "resource_id": "s1" }))
            .await
            .status,
        201
    );
    ours.get("/sandboxes/s2/egress/explain?url=https://a.example")
        .await
        .is(503, "BROKER_UNAVAILABLE");
    ours.get("/sandboxes/s2/egress/explain")
        .await
        .is(422, "VALIDATION_FAILED");
    world.stop().await;
}

fn event(of: &Caller, n: u32, sandbox: &str, host: &str, code: Option<&str>) -> String {
    let event = AuditEvent {
        id: format!("e{n}"),
        inserted_at: format!("2026-01-01T00:00:{n:02}.000000Z"),
        action: if code.is_some() { "reject" } else { "allow" }.to_owned(),
        effect: if code.is_some() { "deny" } else { "allow" }.to_owned(),
        code: code.map(str::to_owned),
        host: host.to_owned(),
        resource_id: sandbox.to_owned(),
        resource_type: "sandbox".to_owned(),
        tenant_id: of.tenant_id.clone(),
        ..AuditEvent::default()
    };
    serde_json::to_string(&event).unwrap() + "\n"
}

#[tokio::test]
async fn what_has_no_rule_is_suggested_and_what_was_refused_is_pending() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    world.sandbox(&ours, "s1", "stopped").await;
    let refused = Some("EGRESS_HOST_NOT_ALLOWED");
    let lines = [
        event(&ours, 1, "s1", "seen.example", None),
        event(&ours, 2, "s1", "wanted.example", refused),
        event(&ours, 3, "s1", "wanted.example", refused),
        event(&ours, 4, "s1", "10.0.0.7", Some("EGRESS_ADDRESS_LITERAL")),
        event(&ours, 5, "s1", "shut.example", Some("EGRESS_HOST_DENIED")),
        event(
            &ours,
            6,
            "s1",
            "broken.example",
            Some("EGRESS_UPSTREAM_NOT_FOUND"),
        ),
        event(&ours, 7, "s2", "elsewhere.example", refused),
        event(&theirs, 8, "s1", "theirs.example", refused),
    ];
    let folder = world.folder.path().join("data/audit");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("egress.jsonl"), lines.concat()).unwrap();

    let at = "?resource_id=s1&since=2026-01-01T00:00:00Z";
    let suggested = ours.get(&format!("/egress/audit/suggestions{at}")).await;
    assert_eq!(
        hosts(&suggested),
        ["wanted.example", "10.0.0.7", "seen.example"]
    );
    let first = &suggested.data()[0];
    assert_eq!(
        (&first["count"], &first["refused"], &first["last_seen"]),
        (&json!(2), &json!(2), &json!("2026-01-01T00:00:03Z"))
    );
    let pending = ours.get(&format!("/egress/pending{at}")).await;
    assert_eq!(hosts(&pending), ["wanted.example", "10.0.0.7"]);
    let all = ours.get("/egress/pending?since=2026-01-01T00:00:00Z").await;
    assert_eq!(
        hosts(&all),
        ["wanted.example", "10.0.0.7", "elsewhere.example"]
    );
    assert_eq!(
        ours.get("/egress/pending?since=1s").await.data(),
        &json!([])
    );

    // A suggestion is a rule as it stands; a decision either way ends the wait.
    ours.post(RULES, first["rule"].clone()).await.data();
    ours.post(RULES, json!({ "host": "10.0.0.0/8", "effect": "deny" }))
        .await
        .data();
    assert_eq!(
        ours.get(&format!("/egress/pending{at}")).await.data(),
        &json!([])
    );
    assert_eq!(
        hosts(&ours.get(&format!("/egress/audit/suggestions{at}")).await),
        ["seen.example"]
    );
    world.stop().await;
}
