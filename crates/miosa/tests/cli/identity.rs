//! Login, settings and contexts.

use std::os::unix::fs::PermissionsExt;

use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::server::{Cli, Server};

const KEY: &str = "msk_u_0123456789abcdef";

/// Knows one key.
fn server() -> Server {
    let tenant = |headers: HeaderMap| async move {
        let given = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        if given == Some(&format!("Bearer {KEY}")) {
            let tenant = json!({"id": "t", "name": "Acme", "slug": "acme", "plan": "self-hosted", "credit_balance": 0});
            Json(json!({"data": tenant})).into_response()
        } else {
            let error = json!({"error": {"code": "UNAUTHORIZED", "message": "no such key"}});
            (StatusCode::UNAUTHORIZED, Json(error)).into_response()
        }
    };
    Server::start(Router::new().route("/platform/tenants/current", get(tenant)))
}

#[test]
fn a_good_key_is_stored_privately_and_used_from_then_on() {
    let server = server();
    let cli = Cli::new(&server).only_variable("MIOSA_REGION", "here");
    let outcome = cli.run_with(&["login", "--stdin"], format!("{KEY}\n").as_bytes());
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let path = cli.home.path().join(".miosa/config.json");
    let mode = fs_err::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let outcome = cli.run(&["whoami", "--json"]);
    let json = outcome.json();
    assert_eq!(json["authenticated"], true);
    assert_eq!(json["slug"], "acme");
    assert_eq!(json["region"], "here");
    assert_eq!(json["api_key_prefix"], "msk_u_012345");
    for arguments in [
        &["config", "ls"][..],
        &["config", "ls", "--json"],
        &["--debug", "whoami"],
        &["context", "show"],
    ] {
        let outcome = cli.run(arguments);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert!(
            !format!("{outcome:?}").contains(KEY),
            "{arguments:?} shows the key"
        );
    }
    cli.run(&["logout"]);
    assert_eq!(cli.run(&["whoami"]).code, 3);
}

#[test]
fn a_bad_key_is_not_stored() {
    let server = server();
    let cli = Cli::new(&server).only_variable("MIOSA_REGION", "");
    let outcome = cli.run_with(&["login", "--stdin"], b"wrong");
    assert_eq!(outcome.code, 3, "{outcome:?}");
    assert!(!cli.home.path().join(".miosa/config.json").exists());
}

#[test]
fn settings_say_where_they_come_from() {
    let cli = Cli::at("").only_variable("MIOSA_BASE_URL", "http://127.0.0.1:9/api/v1");
    let json = cli.run(&["config", "ls", "--json"]).json();
    assert_eq!(json["api_url_source"], "MIOSA_BASE_URL");
    let json = cli
        .run(&["config", "ls", "--json", "--endpoint", "http://x"])
        .json();
    assert_eq!(json["api_url_source"], "flag --endpoint");
    let cli = Cli::at("");
    assert_eq!(
        cli.run(&["config", "set", "api_url", "localhost:9/api/v1/"])
            .code,
        0
    );
    let outcome = cli.run(&["config", "get", "api_url"]);
    assert_eq!(outcome.stdout.trim(), "http://localhost:9");
    assert_eq!(cli.run(&["config", "set", "api_key", "x"]).code, 1);
    cli.run(&["config", "set", "output", "json"]);
    assert_eq!(cli.run(&["version"]).json()["name"], "miosa");
}

#[test]
fn contexts_bring_their_settings_back() {
    let cli = Cli::at("");
    cli.run(&["config", "set", "api_url", "http://a"]);
    assert_eq!(cli.run(&["context", "save", "a"]).code, 0);
    cli.run(&["config", "set", "api_url", "http://b"]);
    assert_eq!(cli.run(&["context", "use", "a"]).code, 0);
    assert_eq!(
        cli.run(&["config", "get", "api_url"]).stdout.trim(),
        "http://a"
    );
    assert_eq!(cli.run(&["context", "use", "nowhere"]).code, 1);
    assert_eq!(cli.run(&["context", "rm", "a"]).code, 0);
    assert_eq!(cli.run(&["context", "ls", "--json"]).stdout.trim(), "[]");
}
