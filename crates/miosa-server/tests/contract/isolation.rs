use miosa_server::store::previews::{self, PreviewRow};
use miosa_server::store::runs::{self, RunRow};
use miosa_server::store::snapshots::{self, SnapshotRow};
use miosa_server::store::templates::{self, BuildRow, TemplateRow};
use reqwest::Method;
use serde_json::json;

use crate::document::operations;
use crate::transport::connector;
use crate::world::{Caller, World};

/// A thing of every kind, all owned by one tenant.
struct Things {
    key_id: String,
    workspace_id: String,
}

impl Things {
    async fn make(world: &World, of: &Caller) -> Self {
        let pool = world.pool().await;
        let tenant_id = of.tenant_id.clone();
        world.sandbox(of, "s1", "running").await;
        of.post("/connect/connectors", connector("anthropic/one"))
            .await
            .data();
        let key_id = of.post("/api-keys", json!({})).await.data()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let body = json!({ "name": "team" });
        let workspace = of.post("/workspaces", body).await;
        let workspace_id = workspace.data()["id"].as_str().unwrap().to_owned();
        let run = RunRow {
            id: "r1".to_owned(),
            tenant_id: tenant_id.clone(),
            sandbox_id: "s1".to_owned(),
            runner: "custom".to_owned(),
            status: "succeeded".to_owned(),
            checkpoint: "{}".to_owned(),
            metadata: "{}".to_owned(),
            ..RunRow::default()
        };
        runs::insert(&pool, &run).await.unwrap();
        let preview = PreviewRow {
            id: "p1".to_owned(),
            tenant_id: tenant_id.clone(),
            sandbox_id: "s1".to_owned(),
            port: 3000,
            name: None,
            visibility: "private".to_owned(),
            created_at: 0,
        };
        previews::put(&pool, &preview).await.unwrap();
        snapshots::insert(&pool, &snapshot(&tenant_id))
            .await
            .unwrap();
        let template = TemplateRow {
            tenant_id: tenant_id.clone(),
            id: "own-one".to_owned(),
            name: "own".to_owned(),
            description: String::new(),
            spec: r#"{"from":"base"}"#.to_owned(),
            created_at: 0,
        };
        templates::insert(&pool, &template).await.unwrap();
        let build = BuildRow {
            id: "b1".to_owned(),
            tenant_id,
            template_id: "own-one".to_owned(),
            image_id: "i".to_owned(),
            status: "ready".to_owned(),
            error: None,
            created_at: 0,
            finished_at: None,
        };
        templates::insert_build(&pool, &build).await.unwrap();
        Self {
            key_id,
            workspace_id,
        }
    }

    /// A path with the ids of these things in it.
    fn fill(&self, path: &str) -> String {
        let id = match path.split('/').nth(1) {
            Some("sandboxes") => "s1",
            Some("runs" | "agent-runs") => "r1",
            Some("sandbox-templates") => "own-one",
            Some("sandbox-template-builds") => "b1",
            Some("api-keys") => &self.key_id,
            Some("workspaces") => &self.workspace_id,
            _ => "none",
        };
        path.replace("{id}", id)
            .replace("{uid}", "anthropic%2Fone")
            .replace("{snapshot_id}", "n1")
            .replace("{preview}", "p1")
            .replace("{key}", "anthropic%2Fone")
            .replace("by-name/{name}", "by-name/s1")
            .replace("{name}", "WORD")
            .replace("{command}", "1")
            .replace("{pid}", "1")
            .replace("{file}", "L2V0Yy9ob3N0cw")
            .replace("{share}", "none")
            .replace("{path}", "etc/hosts")
    }
}

fn snapshot(tenant_id: &str) -> SnapshotRow {
    SnapshotRow {
        id: "n1".to_owned(),
        tenant_id: tenant_id.to_owned(),
        sandbox_id: "s1".to_owned(),
        kind: snapshots::KEPT.to_owned(),
        state: snapshots::READY.to_owned(),
        below: "[]".to_owned(),
        manifest: "{}".to_owned(),
        ..SnapshotRow::default()
    }
}

/// Of these the id alone is no thing of the tenant's: an audit event needs a broker to exist.
fn holds_a_thing(path: &str) -> bool {
    !path.starts_with("/egress") && !path.contains("{name}") && !path.contains("{key}")
}

/// What people are asked is kept by the broker, which this world has none of; whose it is, it checks itself.
fn waits_at_the_broker(path: &str) -> bool {
    path.starts_with("/actions/approvals/")
}

#[tokio::test]
async fn every_route_with_an_id_is_404_for_another_tenant() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    let things = Things::make(&world, &ours).await;
    let with_id = || {
        operations()
            .into_iter()
            .filter(|operation| operation.path.contains('{'))
    };
    let mut wrong = Vec::new();
    for operation in with_id().filter(|operation| !waits_at_the_broker(&operation.path)) {
        let path = things.fill(&operation.path);
        let wanted = query(&operation.path, &path);
        let answer = theirs
            .send(operation.method.clone(), &wanted, operation.body)
            .await;
        let code = answer.body["error"]["code"].as_str().unwrap_or_default();
        if answer.status != 404 || answer.text.contains("there is no route") {
            wrong.push(format!(
                "{} {path}: {} {code}",
                operation.method, answer.status
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // The ids were real, and nothing was changed: their owner still finds all of them.
    let direct = |path: &str| {
        path.matches('{').count() == 1
            || path.contains("{preview}")
            || path.contains("{snapshot_id}")
    };
    let mut found = 0;
    for operation in with_id().filter(|operation| operation.method == Method::GET) {
        if !holds_a_thing(&operation.path)
            || !direct(&operation.path)
            || is_endless(&operation.path)
        {
            continue;
        }
        let path = query(&operation.path, &things.fill(&operation.path));
        let answer = ours.send(Method::GET, &path, None).await;
        assert_ne!(answer.status, 404, "{path}: {}", answer.text);
        found += 1;
    }
    assert!(found >= 30, "{found}");
    world.stop().await;
}

/// Adds the query a route cannot do without.
fn query(template: &str, path: &str) -> String {
    if template.contains("/files/") || template.contains("/fs") {
        return format!("{path}?path=/etc/hosts");
    }
    path.to_owned()
}

fn is_endless(path: &str) -> bool {
    path.ends_with("/stream") || path.ends_with("/events")
}
