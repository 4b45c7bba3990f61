use miosa_api::audit::AuditEvent;
use miosa_api::audit_chain::Head;
use serde_json::json;

use crate::world::{Caller, World};

fn event(of: &Caller, n: u32, host: &str, action: &str) -> String {
    let event = AuditEvent {
        id: format!("e{n}"),
        inserted_at: format!("2026-01-01T00:00:0{n}.000000Z"),
        action: action.to_owned(),
        effect: if action == "allow" { "allow" } else { "deny" }.to_owned(),
        host: host.to_owned(),
        resource_id: "s1".to_owned(),
        resource_type: "sandbox".to_owned(),
        tenant_id: of.tenant_id.clone(),
        ..AuditEvent::default()
    };
    serde_json::to_string(&event).unwrap() + "\n"
}

fn ids(answer: &crate::world::Answer) -> Vec<String> {
    let rows = answer.data().as_array().unwrap().iter();
    rows.map(|row| row["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_audit_is_listed_narrowed_and_paged_for_its_tenant_alone() {
    let world = World::start().await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    let lines = [
        event(&ours, 1, "a.example", "allow"),
        event(&theirs, 2, "a.example", "allow"),
        event(&ours, 3, "b.example", "reject"),
        event(&ours, 4, "a.example", "allow"),
    ];
    let folder = world.folder.path().join("data/audit");
    fs_err::create_dir_all(&folder).unwrap();
    fs_err::write(folder.join("egress.jsonl"), lines.concat()).unwrap();

    let all = ours.get("/egress/audit").await;
    assert_eq!(ids(&all), ["e4", "e3", "e1"]);
    assert_eq!(
        all.body.as_object().unwrap().len(),
        2,
        "the SDK unwraps at most two keys"
    );
    assert_eq!(ids(&theirs.get("/egress/audit").await), ["e2"]);
    for (query, expected) in [
        ("host=a.example", vec!["e4", "e1"]),
        ("host=A.EXAMPLE&limit=1", vec!["e4"]),
        (
            "action=reject&resource_id=s1&resource_type=sandbox",
            vec!["e3"],
        ),
        ("resource_id=other", vec![]),
        ("since=2026-01-01T00:00:03Z", vec!["e4", "e3"]),
        ("until=2026-01-01T00:00:03Z", vec!["e3", "e1"]),
    ] {
        assert_eq!(
            ids(&ours.get(&format!("/egress/audit?{query}")).await),
            expected,
            "{query}"
        );
    }
    let first = ours.get("/egress/audit?limit=2").await;
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = ours
        .get(&format!("/egress/audit?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(
        (ids(&second), &second.body["next_cursor"]),
        (vec!["e1".to_owned()], &json!(null))
    );
    let hosts = ours.get("/egress/audit?group_by=host").await;
    assert_eq!(
        hosts.data(),
        &json!([{ "host": "a.example", "count": 2 }, { "host": "b.example", "count": 1 }])
    );

    assert_eq!(
        ours.get("/egress/audit/e3").await.data()["host"],
        "b.example"
    );
    theirs.get("/egress/audit/e3").await.is(404, "NOT_FOUND");
    ours.get("/egress/audit?since=yesterday")
        .await
        .is(422, "VALIDATION_FAILED");
    let narrow = world.key(&ours, &["runs:read"]).await;
    narrow.get("/egress/audit").await.is(403, "FORBIDDEN");
    world.stop().await;
}

#[tokio::test]
async fn the_last_line_of_an_event_counts_wherever_it_stands() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let line = |n: u32, action: &str| {
        event(&ours, 1, "a.example", action).replace("\"e1\"", &format!("\"e{n}\""))
    };
    let folder = world.folder.path().join("data/audit");
    fs_err::create_dir_all(&folder).unwrap();
    let file = folder.join("egress.jsonl");
    // More than one statement holds, each event twice, the first of them among the rest.
    let first = (0..150).map(|n| line(n, "client_cancel") + &line(n, "reject"));
    let mut text: String = first.collect();
    fs_err::write(&file, &text).unwrap();
    let count = async |action: &str| {
        let query = format!("/egress/audit?limit=200&action={action}");
        ids(&ours.get(&query).await).len()
    };
    assert_eq!(
        (count("client_cancel").await, count("reject").await),
        (0, 150)
    );
    text.push_str(&line(7, "allow"));
    fs_err::write(&file, &text).unwrap();
    assert_eq!((count("allow").await, count("reject").await), (1, 149));
    world.stop().await;
}

#[tokio::test]
async fn a_changed_audit_is_told_from_one_as_it_was_written() {
    let world = World::start().await;
    let ours = world.tenant("ours").await;
    let verified = async |intact: bool| {
        let answer = ours.get("/egress/audit/verify").await;
        assert_eq!(answer.data()["intact"], intact, "{}", answer.body);
        answer.data().clone()
    };
    verified(true).await;

    let (mut lines, mut head) = (Vec::new(), Head::START);
    for n in 1..4 {
        let line = event(&ours, n, "a.example", "allow");
        head = head.append(line.trim_end().as_bytes(), &mut lines);
    }
    let folder = world.folder.path().join("data/audit");
    fs_err::create_dir_all(&folder).unwrap();
    let file = folder.join("egress.jsonl");
    fs_err::write(&file, &lines).unwrap();
    fs_err::write(folder.join("egress.jsonl.head"), head.to_string()).unwrap();
    assert_eq!(verified(true).await["lines"], 3);
    let narrow = world.key(&ours, &["audit:read"]).await;
    let told = narrow.get("/egress/audit/verify").await;
    let nothing = json!({ "intact": true, "lines": 0, "first": 0, "head": "", "fault": null });
    assert_eq!(told.data(), &nothing, "the file is of all tenants");
    for path in ["/egress/audit/e2", "/egress/audit"] {
        let told = narrow.get(path).await;
        assert!(told.text.contains("a.example"), "{}", told.text);
        for field in ["seq", "prev", "hash"] {
            assert!(
                !told.text.contains(&format!("\"{field}\"")),
                "{}",
                told.text
            );
        }
    }

    fs_err::write(&file, &lines[..lines.len() / 3 * 2]).unwrap();
    verified(false).await;
    let changed = String::from_utf8(lines)
        .unwrap()
        .replacen("a.example", "b.example", 1);
    fs_err::write(&file, changed).unwrap();
    assert_eq!(verified(false).await["fault"], "line 1 was changed");
}
