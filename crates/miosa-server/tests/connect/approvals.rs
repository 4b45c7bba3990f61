use serde_json::json;

use crate::broker::Broker;

#[tokio::test]
async fn who_answers_is_told_to_the_broker_with_the_tenant_and_needs_the_scope() {
    let (world, _broker) = Broker::with_world().await;
    let ours = world.tenant("ours").await;
    let reads = world.key(&ours, &["connectors:read"]).await;
    let answers = world.key(&ours, &["connectors:write"]).await;
    for verb in ["approve", "deny"] {
        let path = format!("/actions/approvals/known/{verb}");
        reads.post(&path, json!({})).await.is(403, "FORBIDDEN");
        answers
            .post(&format!("/actions/approvals/other/{verb}"), json!({}))
            .await
            .is(404, "NOT_FOUND");
    }
    let denied = answers
        .post("/actions/approvals/known/deny", json!({ "reason": "no" }))
        .await;
    let denied = denied.data();
    assert_eq!(
        (&denied["status"], &denied["reason"]),
        (&json!("denied"), &json!("no"))
    );
    let by = denied["decided_by"].as_str().unwrap();
    let other = ours
        .post("/actions/approvals/known/approve", json!({}))
        .await;
    let other = other.data();
    assert_eq!(other["status"], "approved");
    assert_ne!(other["decided_by"].as_str().unwrap(), by, "another key");
    assert_eq!(other["sandbox_id"], denied["sandbox_id"], "the same tenant");
    world.stop().await;
}
