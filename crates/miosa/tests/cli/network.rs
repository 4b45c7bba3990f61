//! Network policies and the audit: what is sent, and what is shown.

use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::server::{Cli, Server, sandbox};

fn rule(id: &str, host: &str, effect: &str) -> Value {
    json!({
        "id": id, "host": host, "effect": effect, "methods": [], "path_glob": null, "policy_id": null,
        "resource_type": "sandbox", "resource_id": "s", "note": null, "created_at": "x"
    })
}

fn event(n: u32) -> Value {
    json!({
        "id": format!("e{n}"), "inserted_at": format!("2026-01-01T00:00:0{n}.000000Z"), "action": "reject",
        "effect": "deny", "code": "EGRESS_HOST_NOT_ALLOWED", "transport": "intercept", "host": "a.example",
        "port": 443, "method": "=cmd", "path": "/a,b", "status_code": 403, "connector": null, "binding_id": null,
        "swapped": false, "redacted": false, "resource_id": "s", "resource_type": "sandbox", "tenant_id": "t",
        "policy_generation": 1, "duration_ms": 1, "bytes_out": 0, "bytes_in": 0
    })
}

/// The same answer every time.
fn answer(data: Value) -> impl Fn() -> std::future::Ready<Json<Value>> + Clone {
    move || std::future::ready(Json(json!({ "data": data })))
}

/// Two pages of events.
async fn audit(Query(query): Query<std::collections::HashMap<String, String>>) -> Json<Value> {
    if query.contains_key("cursor") {
        return Json(json!({ "data": [event(1)], "next_cursor": null }));
    }
    Json(json!({ "data": [event(3), event(2)], "next_cursor": "2.e2" }))
}

fn server() -> Server {
    let rules = [
        rule("r1", "a.example", "deny"),
        rule("template:0", "b.example", "allow"),
        json!({
            "id": "r3", "host": "t.example", "effect": "deny", "methods": [], "path_glob": null, "policy_id": null,
            "resource_type": "tenant", "resource_id": null, "note": null, "created_at": "x"
        }),
    ];
    let policy = json!({ "mode": "enforce", "set_by": "p", "rules": rules, "bound": ["GET https://c.example/"] });
    let explanation = json!({
        "method": "GET", "url": "https://a.example/", "decision": "deny", "transport": null, "rule": "r1",
        "code": "EGRESS_HOST_DENIED", "message": "No.", "hint": "Ask.", "allowed": ["b.example"], "binding": null,
        "credentials": [], "mode": "enforce", "policy_generation": 3
    });
    let mode = json!({
        "id": "p", "name": "default", "description": null, "mode": "enforce", "default_effect": "deny",
        "resource_type": "tenant", "resource_id": null, "rules": [], "created_at": "x", "updated_at": "x"
    });
    let routes = Router::new()
        .route(
            "/sandboxes/s",
            get(|| async { Json(json!({ "data": sandbox("s", "running") })) }),
        )
        .route("/sandboxes/s/egress", get(answer(policy)))
        .route("/sandboxes/s/egress/explain", get(answer(explanation)))
        .route("/egress/policies", patch(answer(mode)))
        .route("/egress/audit", get(audit))
        .route(
            "/egress/pending",
            get(|| async { Json(json!({ "data": [] })) }),
        )
        .route(
            "/egress/allowlist/{id}",
            delete(|| async { StatusCode::NO_CONTENT }),
        )
        .route(
            "/egress/allowlist",
            post(|Json(body): Json<Value>| async move {
                if body["host"] == "refused" {
                    let error = json!({ "code": "VALIDATION_FAILED", "message": "no" });
                    return (
                        StatusCode::UNPROCESSABLE_ENTITY,
                        Json(json!({ "error": error })),
                    );
                }
                (
                    StatusCode::CREATED,
                    Json(json!({ "data": rule("r2", "a.example", "allow") })),
                )
            }),
        );
    Server::start(routes)
}

#[test]
fn a_rule_is_sent_as_it_was_meant_and_a_deny_that_beats_it_is_told() {
    let server = server();
    let outcome = Cli::new(&server).run(&[
        "sandbox",
        "network",
        "allow",
        "s",
        "a.example",
        "--method",
        "GET",
        "--path",
        "/v1/**",
        "--note",
        "why",
    ]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(
        server.only("POST").body,
        json!({
            "host": "a.example", "effect": "allow", "methods": ["GET"], "path_glob": "/v1/**", "note": "why",
            "resource_type": "sandbox", "resource_id": "s"
        })
    );
    assert!(
        outcome.stderr.contains("network remove s r1"),
        "{outcome:?}"
    );
}

#[test]
fn lockdown_reaches_the_level_that_was_named() {
    let server = server();
    let cli = Cli::new(&server);
    assert_eq!(
        cli.run(&["sandbox", "network", "lockdown", "s", "--level", "tenant"])
            .code,
        0
    );
    let body = server.only("PATCH").body;
    assert_eq!(
        (&body["mode"], &body["resource_type"]),
        (&json!("enforce"), &json!("tenant"))
    );
    assert_eq!(body["resource_id"], Value::Null);
    // This sandbox is in no workspace.
    let outcome = cli.run(&[
        "sandbox",
        "network",
        "observe",
        "s",
        "--level",
        "workspace",
        "--json",
    ]);
    assert_eq!(outcome.json()["error"]["code"], "CLI_USAGE_ERROR");
}

#[test]
fn a_rule_is_removed_by_its_host_and_one_of_a_template_is_not() {
    let server = server();
    let cli = Cli::new(&server);
    assert_eq!(
        cli.run(&["sandbox", "network", "remove", "s", "A.example"])
            .code,
        0
    );
    assert_eq!(server.only("DELETE").path, "/api/v1/egress/allowlist/r1");
    for (rule, code) in [("b.example", "CLI_USAGE_ERROR"), ("x.example", "NOT_FOUND")] {
        let outcome = cli.run(&["sandbox", "network", "remove", "s", rule, "--json"]);
        assert_eq!(
            (outcome.code, &outcome.json()["error"]["code"]),
            (1, &json!(code)),
            "{rule}"
        );
    }
    assert_eq!(server.only("DELETE").method, "DELETE");
}

#[test]
fn what_holds_and_why_is_shown_to_people_and_programs() {
    let server = server();
    let cli = Cli::new(&server);
    let shown = cli.run(&["sandbox", "network", "show", "s"]).stdout;
    assert!(
        shown.contains("enforce") && shown.contains("r1") && shown.contains("https://c.example/"),
        "{shown}"
    );
    let why = [
        "sandbox",
        "why",
        "s",
        "https://a.example/?q=1",
        "--method",
        "put",
    ];
    let said = cli.run(&why).stdout;
    assert!(
        said.contains("deny a.example of the sandbox (r1)") && said.contains("Ask."),
        "{said}"
    );
    let asked = server
        .seen()
        .into_iter()
        .find(|seen| seen.path.contains("/explain"))
        .unwrap();
    assert!(
        asked
            .path
            .ends_with("?method=put&url=https%3A%2F%2Fa.example%2F%3Fq%3D1"),
        "{}",
        asked.path
    );
    let said = cli.run(&[&why[..], &["--json"]].concat()).json();
    assert_eq!(said["code"], "EGRESS_HOST_DENIED");
    let none = cli.run(&["sandbox", "network", "pending", "s"]).stdout;
    assert!(none.contains("no host waits"), "{none}");
}

#[test]
fn the_audit_is_exported_whole_and_tailed_oldest_first() {
    let server = server();
    let cli = Cli::new(&server);
    let file = cli.home.path().join("audit.csv");
    let arguments = [
        "audit",
        "export",
        "--format",
        "csv",
        "--output",
        file.to_str().unwrap(),
    ];
    assert_eq!(cli.run(&arguments).code, 0);
    let text = fs_err::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(
        lines[0].starts_with("inserted_at,id,") && lines[3].contains(",e1,"),
        "{text}"
    );
    assert!(
        lines[1].contains(",'=cmd,") && lines[1].contains("\"/a,b\""),
        "{text}"
    );
    let all = cli.run(&["audit", "export"]).json();
    assert_eq!(all.as_array().unwrap().len(), 3);
    let lines = cli.run(&["audit", "export", "--format", "jsonl"]).stdout;
    assert_eq!(lines.lines().count(), 3);
    let tail = cli.run(&["audit", "tail", "-n", "2", "--json"]).stdout;
    let ids: Vec<Value> = tail
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, ["e2", "e3"]);
}

#[test]
fn a_rule_of_the_tenant_is_removed_when_its_level_is_named() {
    let server = server();
    let cli = Cli::new(&server);
    let remove = ["sandbox", "network", "remove", "s", "t.example"];
    let outcome = cli.run(&[&remove[..], &["--json"]].concat());
    let error = outcome.json()["error"].clone();
    assert_eq!(error["code"], "NOT_FOUND");
    assert!(
        error["hint"].as_str().unwrap().contains("--level tenant"),
        "{error}"
    );
    assert!(server.seen().iter().all(|seen| seen.method != "DELETE"));
    let outcome = cli.run(&[&remove[..], &["--level", "tenant"]].concat());
    assert!(outcome.stdout.contains("of the tenant"), "{outcome:?}");
    assert_eq!(server.only("DELETE").path, "/api/v1/egress/allowlist/r3");
}

#[test]
fn rules_that_were_made_before_one_was_refused_are_told() {
    let server = server();
    let allow = ["sandbox", "network", "allow", "s", "a.example", "refused"];
    let outcome = Cli::new(&server).run(&[&allow[..], &["--json"]].concat());
    let error = outcome.json()["error"].clone();
    assert_eq!(
        (&error["code"], &error["partial_resource"][0]["id"]),
        (&json!("VALIDATION_FAILED"), &json!("r2"))
    );
}

#[test]
fn an_export_is_private_and_one_that_fails_leaves_the_one_before() {
    use std::os::unix::fs::PermissionsExt;
    let there = server();
    let cli = Cli::new(&there);
    let file = cli.home.path().join("audit.jsonl");
    let export = ["audit", "export", "--output", file.to_str().unwrap()];
    assert_eq!(cli.run(&export).code, 0);
    let mode = fs_err::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs_err::read_to_string(&file).unwrap();
    let nobody = Cli::at("http://127.0.0.1:1").run(&export);
    assert_eq!(nobody.code, 2, "{nobody:?}");
    assert_eq!(fs_err::read_to_string(&file).unwrap(), before);
    let folder = fs_err::read_dir(cli.home.path()).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name());
    assert_eq!(
        names
            .filter(|name| name.to_string_lossy().starts_with(".tmp"))
            .count(),
        0
    );
}
