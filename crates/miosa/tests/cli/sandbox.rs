//! Sandboxes: create, exec, wait.

use std::convert::Infallible;

use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde_json::{Value, json};

use crate::server::{Cli, Server, sandbox};

fn creating() -> Server {
    Server::start(Router::new().route(
        "/sandboxes",
        post(|| async {
            (
                StatusCode::CREATED,
                Json(json!({"data": sandbox("s", "running")})),
            )
        }),
    ))
}

#[test]
fn create_sends_what_the_contract_says_and_shows_unknown_fields() {
    let server = creating();
    let arguments = [
        "sandbox",
        "create",
        "--template",
        "nextjs",
        "--auto-start",
        "--timeout",
        "1h",
        "--memory",
        "4gb",
        "--network-policy",
        "deny-all",
        "--allowed-domain",
        "a.example",
        "--env",
        "A=1",
        "--non-persistent",
        "--json",
    ];
    let outcome = Cli::new(&server).run(&arguments);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(outcome.json()["field_of_a_later_version"], 7);
    assert!(
        outcome.stdout.starts_with("{\n  \""),
        "two spaces: {}",
        outcome.stdout
    );
    let seen = server.only("POST");
    assert_eq!(
        seen.body,
        json!({
            "template_id": "nextjs", "auto_start": true, "timeout_sec": 3600, "memory_mb": 4096,
            "persistent": false, "env": {"A": "1"},
            "metadata": {"network_policy": {"mode": "deny-all", "allowed_domains": ["a.example"],
                "allowed_cidrs": [], "denied_cidrs": []}}
        })
    );
    let key = seen.headers["idempotency-key"].to_str().unwrap().to_owned();
    assert_eq!(key.len(), 36, "{key}");
}

#[test]
fn data_replaces_the_body_and_the_defaults_are_sent() {
    let server = creating();
    let cli = Cli::new(&server);
    cli.run(&[
        "sandbox",
        "create",
        "--data",
        "{\"template_id\":\"x\"}",
        "--idempotency-key",
        "k",
    ]);
    cli.run(&["sandbox", "create"]);
    let seen = server.seen();
    assert_eq!(seen[0].body, json!({"template_id": "x"}));
    assert_eq!(seen[0].headers["idempotency-key"], "k");
    assert_eq!(
        seen[1].body,
        json!({"timeout_sec": 3600, "persistent": true})
    );
}

#[test]
fn a_template_that_is_being_built_is_waited_for() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let create = || async {
        if ASKED.fetch_add(1, Ordering::SeqCst) == 0 {
            let error = json!({"error": {"code": "TEMPLATE_NOT_READY", "message": "building", "retryable": true}});
            (StatusCode::CONFLICT, Json(error))
        } else {
            (
                StatusCode::CREATED,
                Json(json!({"data": sandbox("s", "running")})),
            )
        }
    };
    let server = Server::start(
        Router::new()
            .route("/sandboxes", post(create))
            .route(
                "/sandbox-templates/nextjs",
                get(|| async { Json(json!({"data": {"status": "building"}})) }),
            )
            .route(
                "/sandbox-templates/nextjs/builds",
                get(|| async { Json(json!({"data": [{"id": "b"}]})) }),
            )
            .route(
                "/sandbox-template-builds/b",
                get(|| async {
                    let events = json!([
                        {"type": "layer.started", "message": "[2/5] run make"},
                        {"type": "output", "message": "cc"}
                    ]);
                    Json(json!({"data": {"events": events}}))
                }),
            ),
    );
    let outcome = Cli::new(&server).run(&["sandbox", "create", "--template", "nextjs"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.stderr.contains(": [2/5] run make"), "{outcome:?}");
}

fn executing() -> Server {
    let answer = |Json(body): Json<Value>| async move {
        let result = json!({"stdout": "out\n", "stderr": "err\n", "exit_code": 7, "timed_out": false,
            "truncated": false, "duration_ms": 3, "command": body["command"]});
        Json(json!({"data": result}))
    };
    let stream = || async {
        let event = |kind: &str, data: Value| {
            Ok::<_, Infallible>(Event::default().event(kind).data(data.to_string()))
        };
        Sse::new(stream::iter([
            event("stdout", json!({"line": "out"})),
            event("stderr", json!({"line": "err"})),
            event("exit", json!({"exit_code": 7})),
        ]))
    };
    Server::start(
        Router::new()
            .route("/sandboxes/s/exec", post(answer))
            .route("/sandboxes/s/exec/stream", post(stream))
            .route(
                "/sandboxes/s/commands",
                post(|| async { Json(json!({"data": {"id": "p1"}})) }),
            ),
    )
}

#[test]
fn exec_passes_output_and_exit_status_on() {
    let server = executing();
    let cli = Cli::new(&server);
    let outcome = cli.run(&[
        "sandbox", "exec", "s", "--cwd", "/w", "--", "npm", "run", "a b",
    ]);
    assert_eq!(
        (
            outcome.code,
            outcome.stdout.as_str(),
            outcome.stderr.as_str()
        ),
        (7, "out\n", "err\n")
    );
    let seen = server.only("POST");
    assert_eq!(seen.path, "/api/v1/sandboxes/s/exec/stream");
    assert_eq!(seen.body, json!({"command": "npm run 'a b'", "cwd": "/w"}));
    assert!(
        seen.headers["accept"]
            .to_str()
            .unwrap()
            .contains("text/event-stream")
    );
}

#[test]
fn exec_as_json_is_the_answer_and_still_exits_as_the_command_did() {
    let server = executing();
    let cli = Cli::new(&server);
    let outcome = cli.run(&[
        "sandbox",
        "run",
        "s",
        "ls | wc",
        "--env",
        "A=b=c",
        "--timeout",
        "5m",
        "--json",
    ]);
    assert_eq!(outcome.code, 7, "{outcome:?}");
    assert_eq!(outcome.json()["stdout"], "out\n");
    assert_eq!(outcome.json()["command"], "ls | wc");
    let seen = server.only("POST");
    assert_eq!(
        seen.body,
        json!({"command": "ls | wc", "env": {"A": "b=c"}, "timeout": 300.0})
    );
    let outcome = cli.run(&["sandbox", "exec", "s", "--follow", "--json", "--", "x"]);
    assert_eq!(
        outcome.json(),
        json!({"stdout": "out\n", "stderr": "err\n", "exit_code": 7})
    );
}

#[test]
fn a_detached_command_is_named() {
    let server = executing();
    let outcome = Cli::new(&server).run(&[
        "sandbox",
        "exec",
        "s",
        "--detached",
        "--json",
        "--",
        "sleep",
        "9",
    ]);
    assert_eq!(outcome.json()["command_id"], "p1");
    assert_eq!(outcome.json()["status"], "running");
}

#[test]
fn standard_input_goes_along_when_asked_for() {
    let server = executing();
    let outcome = Cli::new(&server).run_with(
        &["sandbox", "exec", "s", "-i", "--json", "--", "cat"],
        b"hello",
    );
    assert_eq!(outcome.code, 7, "{outcome:?}");
    assert_eq!(server.only("POST").body["stdin"], "hello");
}

#[test]
fn exec_waits_for_a_sandbox_that_starts_and_explains_one_that_does_not() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let refuse = |code: &str| {
        let error = json!({"error": {"code": code, "message": "not now", "retryable": false}});
        (StatusCode::CONFLICT, Json(error))
    };
    let exec = move || async move {
        let code = ["SANDBOX_STARTING", "SANDBOX_NOT_RUNNING"];
        let asked = ASKED.fetch_add(1, Ordering::SeqCst) as usize;
        refuse(code[asked.min(1)])
    };
    let server = Server::start(Router::new().route("/sandboxes/s/exec", post(exec)).route(
        "/sandboxes/s",
        get(|| async { Json(json!({"data": sandbox("s", "paused")})) }),
    ));
    let outcome = Cli::new(&server).run(&["sandbox", "exec", "s", "--json", "--", "x"]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    let error = &outcome.json()["error"];
    assert_eq!(error["code"], "SANDBOX_NOT_RUNNING");
    assert_eq!(error["details"]["state"], "paused");
}

/// The application under its preview's name, and the API, on one port.
fn previewing() -> Server {
    let expose = |headers: HeaderMap| async move {
        let host = headers["host"].to_str().unwrap();
        let port = host.rsplit_once(':').unwrap().1;
        Json(
            json!({"data": {"url": format!("http://3000-slug.sandbox.localhost:{port}/api/v1/app")}}),
        )
    };
    let app = |headers: HeaderMap| async move {
        let preview = headers["host"]
            .to_str()
            .unwrap()
            .starts_with("3000-slug.sandbox.localhost:");
        let bare = headers.get("authorization").is_none();
        if preview && bare {
            StatusCode::OK
        } else {
            StatusCode::BAD_REQUEST
        }
    };
    let probe = json!({"data": {"stdout": "200\n", "stderr": "", "exit_code": 0, "timed_out": false,
        "truncated": false, "duration_ms": 1}});
    Server::start(
        Router::new()
            .route(
                "/sandboxes/s",
                get(|| async { Json(json!({"data": sandbox("s", "running")})) }),
            )
            .route(
                "/sandboxes/s/exec",
                post(move || async move { Json(probe) }),
            )
            .route("/sandboxes/s/expose", post(expose))
            .route("/app/{*rest}", any(app))
            .route("/app", any(app)),
    )
}

#[test]
fn wait_looks_inside_exposes_and_looks_outside_under_a_name_no_resolver_knows() {
    let server = previewing();
    let arguments = [
        "sandbox",
        "wait",
        "s",
        "--port",
        "3000",
        "--timeout",
        "10",
        "--probe-path",
        "/health",
        "--json",
    ];
    let outcome = Cli::new(&server).run(&arguments);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let json = outcome.json();
    assert_eq!(json["sandbox_id"], "s");
    assert_eq!(json["port"], 3000);
    assert_eq!(json["internal_status"], 200);
    assert_eq!(json["ready"], true);
    assert_eq!(json["status"], 200);
    assert!(
        json["url"]
            .as_str()
            .unwrap()
            .starts_with("http://3000-slug.sandbox.localhost:")
    );
    let paths: Vec<String> = server
        .seen()
        .into_iter()
        .map(|seen| format!("{} {}", seen.method, seen.path))
        .collect();
    assert_eq!(
        paths,
        [
            "GET /api/v1/sandboxes/s",
            "POST /api/v1/sandboxes/s/exec",
            "POST /api/v1/sandboxes/s/expose",
            "GET /api/v1/app/health"
        ]
    );
    let expose = &server.seen()[2];
    assert_eq!(expose.body, json!({"port": 3000, "title": "app preview"}));
}

#[test]
fn wait_gives_up_with_what_it_saw_last() {
    let server = Server::start(Router::new().route(
        "/sandboxes/s",
        get(|| async { Json(json!({"data": sandbox("s", "creating")})) }),
    ));
    let outcome = Cli::new(&server).run(&["sandbox", "wait", "s", "--timeout", "1", "--json"]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert_eq!(outcome.json()["error"]["code"], "CLI_WAIT_TIMEOUT");
    assert_eq!(outcome.json()["error"]["details"]["state"], "creating");
}

#[test]
fn delete_without_a_body_says_so() {
    let server = Server::start(
        Router::new().route("/sandboxes/s", any(|| async { StatusCode::NO_CONTENT })),
    );
    let cli = Cli::new(&server);
    assert_eq!(
        cli.run(&["sandbox", "delete", "s", "--json"]).json(),
        json!({"deleted": true})
    );
    assert_eq!(cli.run(&["sandboxes", "rm", "s"]).stdout, "destroyed s\n");
    assert_eq!(cli.run(&["sandbox", "delete", "..", "--json"]).code, 1);
}

#[test]
fn a_prompt_for_a_program_is_one_answer() {
    let run = json!({"id": "r", "target_kind": "sandbox", "target_id": "s", "sandbox_id": "s", "runner": "claude-code",
        "provider": "claude", "status": "failed", "instruction": "do it", "model": null, "cwd": "/w", "connector": null,
        "output": "", "stderr": "", "exit_code": 3, "error": null, "session_id": null, "created_at": "x",
        "started_at": null, "finished_at": null, "metadata": {}});
    let answer = json!({"data": run});
    let server = Server::start(
        Router::new().route("/agent-runs", post(move || async move { Json(answer) })),
    );
    let arguments = [
        "sandbox",
        "prompt",
        "s",
        "--cwd",
        "/w",
        "--timeout",
        "5m",
        "--json",
        "--",
        "do",
        "it",
    ];
    let outcome = Cli::new(&server).run(&arguments);
    assert_eq!(outcome.code, 1, "a failed run fails the command");
    assert_eq!(outcome.json()["exit_code"], 3);
    assert_eq!(
        server.only("POST").body,
        json!({"prompt": "do it", "provider": "claude", "runtime_id": "s", "target_kind": "sandbox",
            "target_id": "s", "cwd": "/w", "timeout": 300, "wait": true})
    );
}
