use serde_json::{Value, json};

use crate::world::World;

const AT: &str = "/sandboxes/s1/connectors";

fn attach(connector: &str, env: &str) -> Value {
    json!({ "connector": connector, "env_name": env, "mode": "brokered-env" })
}

#[tokio::test]
async fn every_reason_to_refuse_an_attach_has_its_code_and_leaves_nothing() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    world.sandbox(&ours, "s1", "stopped").await;
    let body = json!({ "provider": "anthropic", "name": "work", "credential": { "value": "sk-ant-api03-secret" } });
    assert_eq!(ours.post("/connect/connectors", body).await.status, 201);

    let rows = [
        (
            attach("refero/design-research", "REFERO_MCP_TOKEN"),
            409,
            "MANAGED_CONNECTOR_NOT_CONFIGURED",
        ),
        (attach("anthropic/other", "KEY"), 404, "CONNECTOR_NOT_FOUND"),
        (
            attach("anthropic/work", "LD_PRELOAD"),
            422,
            "INVALID_ENV_NAME",
        ),
        (attach("anthropic/work", "PATH"), 422, "INVALID_ENV_NAME"),
        (attach("anthropic/work", "A-B"), 422, "INVALID_ENV_NAME"),
        (
            json!({ "connector": "anthropic/work", "mode": "plain_env" }),
            403,
            "PLAIN_ENV_NOT_ALLOWED",
        ),
        (
            json!({ "connector": "anthropic/work", "mode": "files" }),
            422,
            "VALIDATION_FAILED",
        ),
        (json!({ "env_name": "KEY" }), 422, "VALIDATION_FAILED"),
        // Nothing is attached unless the broker has it in force, and there is none.
        (
            attach("anthropic/work", "ANTHROPIC_API_KEY"),
            503,
            "BROKER_UNAVAILABLE",
        ),
    ];
    for (body, status, code) in rows {
        ours.post(AT, body).await.is(status, code);
    }
    assert_eq!(
        ours.get(AT).await.data(),
        &json!([]),
        "nothing half attached"
    );
    theirs.get(AT).await.is(404, "NOT_FOUND");
    theirs
        .post(AT, attach("anthropic/work", "KEY"))
        .await
        .is(404, "NOT_FOUND");
    ours.delete(&format!("{AT}/anthropic%2Fwork"))
        .await
        .is(404, "NOT_FOUND");
    ours.post(&format!("{AT}/preflight"), json!({}))
        .await
        .is(409, "SANDBOX_NOT_RUNNING");
    world.stop().await;
}

#[tokio::test]
async fn what_is_attached_takes_its_variable_and_its_requests() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "running").await;
    for (name, secret) in [
        ("work", "sk-ant-api03-secret-1"),
        ("home", "sk-ant-api03-secret-2"),
    ] {
        let body =
            json!({ "provider": "anthropic", "name": name, "credential": { "value": secret } });
        assert_eq!(ours.post("/connect/connectors", body).await.status, 201);
    }
    let id = ours
        .get("/connect/connectors/anthropic%2Fwork")
        .await
        .data()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let placeholder = miosa_vault::placeholder::mint(Some("sk-ant-api03-"));
    let pool = world.pool().await;
    let row = miosa_server::store::bindings::BindingRow {
        id: "b1".into(),
        tenant_id: ours.tenant_id.clone(),
        sandbox_id: "s1".into(),
        connector_id: id,
        env_name: "ANTHROPIC_API_KEY".into(),
        placeholder: placeholder.clone(),
        mcp: None,
        state: "live".into(),
        created_at: 0,
    };
    miosa_server::store::bindings::insert(&pool, &row)
        .await
        .unwrap();

    let again = ours
        .post(AT, attach("anthropic/work", "ANTHROPIC_API_KEY"))
        .await;
    assert_eq!(
        (again.status, &again.data()["id"]),
        (201, &json!("b1")),
        "the same again is the same"
    );
    let shown = again.data()["placeholder_preview"].as_str().unwrap();
    assert!(
        shown.starts_with("sk-ant-api03-miosa-tok-") && !again.text.contains(&placeholder),
        "{shown}"
    );
    assert_eq!(again.data()["env_name"], again.data()["expose_as_env"]);
    ours.post(AT, attach("anthropic/home", "ANTHROPIC_API_KEY"))
        .await
        .is(409, "ENV_NAME_TAKEN");
    let conflict = ours.post(AT, attach("anthropic/home", "OTHER_KEY")).await;
    conflict.is(409, "BINDING_CONFLICT");
    assert_eq!(
        conflict.body["error"]["details"]["connector"],
        "anthropic/work"
    );
    assert!(!ours.get(AT).await.text.contains(&placeholder));
    // One of another host is no conflict: it gets as far as the broker, and there is none.
    let body = json!({ "provider": "openai", "credential": { "value": "sk-another-secret" } });
    assert_eq!(ours.post("/connect/connectors", body).await.status, 201);
    ours.post(AT, attach("openai/default", "OPENAI_API_KEY"))
        .await
        .is(503, "BROKER_UNAVAILABLE");

    // A detach is not done until the broker has forgotten; meanwhile commands no longer see it.
    ours.delete(&format!("{AT}/anthropic%2Fwork"))
        .await
        .is(503, "BROKER_UNAVAILABLE");
    let left = miosa_server::store::bindings::of_sandbox(&pool, "s1")
        .await
        .unwrap();
    assert_eq!(left[0].state, "detaching");
    ours.delete("/connect/connectors/anthropic%2Fwork")
        .await
        .is(503, "BROKER_UNAVAILABLE");
    ours.get("/connect/connectors/anthropic%2Fwork")
        .await
        .data();
    world.stop().await;
}
