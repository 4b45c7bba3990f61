use miosa_api::run::RunStatus;
use miosa_server::agents::{AgentEvent, Checkpoint};
use miosa_server::store::runs::{self, Ending, Kept, Progress, RunRow};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_anything_is_stored() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    world.sandbox(&ours, "s1", "paused").await;
    let ask = |more: serde_json::Value| {
        let mut body =
            json!({ "instruction": "make a page", "target_kind": "sandbox", "target_id": "s1" });
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    ours.post("/runs", ask(json!({ "runner": "hermes" })))
        .await
        .is(422, "UNKNOWN_HARNESS");
    ours.post(
        "/agent-runs",
        json!({ "prompt": "x", "provider": "nobody", "sandbox_id": "s1" }),
    )
    .await
    .is(422, "UNKNOWN_HARNESS");
    ours.post("/runs", ask(json!({ "runner": "custom" })))
        .await
        .is(422, "VALIDATION_FAILED");
    ours.post("/runs", ask(json!({ "timeout": 90_000 })))
        .await
        .is(422, "TIMEOUT_TOO_LONG");
    ours.post("/runs", ask(json!({ "instruction": " " })))
        .await
        .is(422, "VALIDATION_FAILED");
    ours.post("/runs", ask(json!({ "target_id": "nobody" })))
        .await
        .is(404, "NOT_FOUND");
    theirs
        .post("/runs", ask(json!({})))
        .await
        .is(404, "NOT_FOUND");
    ours.post("/runs", ask(json!({})))
        .await
        .is(409, "SANDBOX_NOT_RUNNING");
    ours.post("/runs", json!({ "instruction": 7 }))
        .await
        .is(400, "BAD_REQUEST");
    let reader = world.key(&ours, &["runs:read"]).await;
    reader
        .post("/runs", ask(json!({})))
        .await
        .is(403, "FORBIDDEN");
    assert_eq!(ours.get("/runs").await.data(), &json!([]));
    ours.post("/sandboxes/s1/agent/stop", json!({}))
        .await
        .is(409, "NO_AGENT_RUN");
    world.stop().await;
}

#[tokio::test]
async fn a_connector_that_is_not_attached_stops_a_run_with_what_to_do() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    world.sandbox(&ours, "s1", "running").await;
    let ask =
        |connector: &str| json!({ "instruction": "x", "target_id": "s1", "connector": connector });
    let refused = ours.post("/runs", ask("refero/design-research")).await;
    refused.is(409, "CONNECTOR_NOT_BOUND");
    let hint = refused.body["error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("attach s1 refero/design-research --env REFERO_MCP_TOKEN"),
        "{hint}"
    );
    ours.post("/runs", ask("nobody/none"))
        .await
        .is(404, "CONNECTOR_NOT_FOUND");
    let preflight = json!({ "provider": "claude", "connector": "refero/design-research" });
    ours.post("/sandboxes/s1/connectors/preflight", preflight)
        .await
        .is(409, "CONNECTOR_NOT_BOUND");
    // Nothing answers for a sandbox that is only a row.
    ours.post("/runs", json!({ "instruction": "x", "target_id": "s1" }))
        .await
        .is(503, "AGENT_UNAVAILABLE");
    world.stop().await;
}

#[tokio::test]
async fn a_run_is_read_in_all_its_shapes() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    let pool = world.pool().await;
    let row = RunRow {
        id: "r1".into(),
        tenant_id: ours.tenant_id.clone(),
        sandbox_id: "s1".into(),
        runner: "claude-code".into(),
        status: "queued".into(),
        instruction: "say hello".into(),
        metadata: "{}".into(),
        ..RunRow::default()
    };
    runs::insert(&pool, &row).await.unwrap();
    let mut checkpoint = Checkpoint::default();
    checkpoint.outcome.output = "hello there".into();
    let text = json!({ "type": "text", "text": "hello\nthere" });
    let progress = Progress {
        events: vec![
            AgentEvent::new("agent.text", "hello\nthere", &text),
            AgentEvent::new("run.finished", "done", &json!({})),
        ],
        output: vec![("stdout", "raw\n".into()), ("stderr", "warning\n".into())],
        checkpoint,
        ending: Some(Ending {
            status: RunStatus::Succeeded,
            exit_code: Some(0),
            error: None,
        }),
    };
    runs::save(
        &pool,
        "r1",
        &progress,
        Kept {
            events_max: 10,
            pieces_max: 10,
        },
    )
    .await
    .unwrap();

    for base in ["/runs", "/agent-runs"] {
        let run = ours.get(&format!("{base}/r1")).await;
        let run = run.data();
        assert_eq!(
            (&run["status"], &run["exit_code"], &run["output"]),
            (&json!("succeeded"), &json!(0), &json!("hello there"))
        );
        assert_eq!(run["target_id"], "s1");
        let output = ours.get(&format!("{base}/r1/command-output")).await;
        assert_eq!(
            (&output.data()["stdout"], &output.data()["stderr"]),
            (&json!("raw\n"), &json!("warning\n"))
        );
        let messages = ours.get(&format!("{base}/r1/messages")).await;
        assert_eq!(messages.data()[1]["content"], "hello\nthere");
        let later = ours.get(&format!("{base}/r1/events?after_id=1")).await;
        assert_eq!(later.data()[0]["type"], "run.finished");
        assert_eq!(
            ours.get(&format!(
                "{base}?sandbox_id=s1&status=succeeded&runner=claude&limit=5"
            ))
            .await
            .data()
            .as_array()
            .unwrap()
            .len(),
            1
        );
        assert_eq!(
            ours.get(&format!("{base}?status=failed")).await.data(),
            &json!([])
        );
        ours.post(&format!("{base}/r1/cancel"), json!({}))
            .await
            .is(409, "RUN_ENDED");
        for path in ["", "/events", "/outputs", "/messages", "/command-output"] {
            theirs
                .get(&format!("{base}/r1{path}"))
                .await
                .is(404, "NOT_FOUND");
        }
    }
    // A stream of a run that has ended tells everything and ends.
    let stream = ours.stream("/runs/r1/activity").await;
    assert!(
        stream.contains("event: agent.text") && stream.contains("id: 2"),
        "{stream}"
    );
    world.stop().await;
}
