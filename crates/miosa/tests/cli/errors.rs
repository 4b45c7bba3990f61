//! Exit statuses and the shapes of errors.

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::server::{Cli, Server};

fn refusing(status: u16, body: serde_json::Value) -> Server {
    let status = StatusCode::from_u16(status).unwrap();
    Server::start(Router::new().fallback(move || {
        let body = body.clone();
        async move { (status, [("x-request-id", "req-7")], Json(body)) }
    }))
}

#[test]
fn bad_usage_is_1_and_json_where_json_was_asked_for() {
    let cli = Cli::at("http://127.0.0.1:1");
    for arguments in [
        &["sandbox", "create", "--nonsense", "--json"][..],
        &["sandbox", "nonsense", "--json"],
        &["--json", "sandbox", "exec", "id"],
        &["sandbox", "create", "--timeout", "soon", "--json"],
        &["connectors", "create", "anthropic", "--json"],
        &[
            "connectors",
            "create",
            "anthropic",
            "--stdin",
            "--value",
            "x",
            "--json",
        ],
        &["sandbox", "connectors", "attach", "id", "uid", "--json"],
        &[
            "sandbox", "service", "start", "id", "a/b", "--cmd", "x", "--json",
        ],
        &["sandbox", "env", "set", "id", "NOSIGN", "--json"],
    ] {
        let outcome = cli.run(arguments);
        assert_eq!(outcome.code, 1, "{arguments:?} {outcome:?}");
        let json = outcome.json();
        assert_eq!(json["ok"], false, "{arguments:?}");
        assert_eq!(
            json["error"]["code"], "CLI_USAGE_ERROR",
            "{arguments:?} {json}"
        );
        assert_eq!(json["error"]["retryable"], false);
        assert!(outcome.stderr.is_empty(), "{outcome:?}");
    }
    let outcome = cli.run(&["sandbox", "create", "--nonsense"]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stdout.is_empty() && outcome.stderr.contains("--nonsense"),
        "{outcome:?}"
    );
    // Behind `--` it is a word of the command, not a flag.
    let outcome = cli.run(&["sandbox", "nonsense", "--", "--json"]);
    assert!(outcome.stdout.is_empty(), "{outcome:?}");
}

#[test]
fn nobody_there_is_2() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let cli = Cli::at(&format!("http://{address}"));
    let outcome = cli.run(&["sandbox", "list", "--json"]);
    assert_eq!(outcome.code, 2, "{outcome:?}");
    let json = outcome.json();
    assert_eq!(json["error"]["code"], "CLI_NETWORK_ERROR");
    assert_eq!(json["error"]["retryable"], true);
    let outcome = cli.run(&["sandbox", "list"]);
    for part in ["error: no answer from", "why: ", "hint: "] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
    }
}

#[test]
fn no_key_and_no_right_are_3() {
    for status in [401, 403] {
        let server = refusing(
            status,
            json!({"error": {"code": "UNAUTHORIZED", "message": "no such key"}}),
        );
        let outcome = Cli::new(&server).run(&["whoami", "--json"]);
        assert_eq!(outcome.code, 3, "{outcome:?}");
        let json = outcome.json();
        assert_eq!(json["error"]["code"], "UNAUTHORIZED");
        assert_eq!(json["error"]["request_id"], "req-7");
        assert_eq!(server.seen().len(), 1, "it was not repeated");
    }
}

#[test]
fn the_servers_own_fault_is_4() {
    let body = json!({"error": {"code": "INTERNAL", "message": "broken", "retryable": false}});
    let server = refusing(500, body);
    let outcome = Cli::new(&server).run(&["sandbox", "list", "--json"]);
    assert_eq!(outcome.code, 4, "{outcome:?}");
    assert_eq!(outcome.json()["error"]["message"], "broken");
}

#[test]
fn other_refusals_are_1_with_code_hint_and_details() {
    let body = json!({"error": {
        "code": "PREFLIGHT_FAILED", "message": "not usable", "hint": "attach it", "retryable": false,
        "details": {"steps": [{"name": "bound", "ok": false, "detail": "nothing attached"}]}
    }});
    let server = refusing(422, body);
    let arguments = [
        "sandbox",
        "prompt",
        "id",
        "--connector",
        "a/b",
        "--preflight",
        "--",
        "do",
        "it",
    ];
    let outcome = Cli::new(&server).run(&arguments);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    for part in [
        "not usable",
        "FAIL bound: nothing attached",
        "hint: attach it",
        "req-7",
    ] {
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
    }
    let seen = server.only("POST");
    assert_eq!(
        seen.path, "/api/v1/sandboxes/id/connectors/preflight",
        "no run was started"
    );
    assert_eq!(seen.body, json!({"provider": "claude", "connector": "a/b"}));
}

#[test]
fn what_may_pass_is_repeated_only_where_that_is_safe() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let busy = || {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({"error": {"code": "X", "message": "", "retryable": true}})),
        )
    };
    let routes = Router::new()
        .route(
            "/sandboxes",
            get(move || async move {
                if ASKED.fetch_add(1, Ordering::SeqCst) == 0 {
                    Err(busy())
                } else {
                    Ok(Json(json!({"data": []})))
                }
            }),
        )
        .route("/sandboxes/id/exec", post(move || async move { busy() }));
    let server = Server::start(routes);
    let cli = Cli::new(&server);
    let outcome = cli.run(&["sandbox", "list", "--json"]);
    assert_eq!(
        (outcome.code, outcome.stdout.trim()),
        (0, "[]"),
        "{outcome:?}"
    );
    let outcome = cli.run(&["sandbox", "exec", "id", "--json", "--", "date"]);
    assert_eq!(outcome.code, 4, "{outcome:?}");
    server.only("POST");
}
