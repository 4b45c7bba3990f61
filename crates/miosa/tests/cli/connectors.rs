//! Connectors: how the secret travels, and what is shown.

use axum::http::StatusCode;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::server::{Cli, Server};

const SECRET: &str = "sk-ant-very-secret";

fn connector() -> Value {
    json!({
        "id": "c", "uid": "anthropic/default", "provider": "anthropic", "type": "api_key",
        "display_name": "Anthropic", "status": "connected", "scope": "tenant", "managed": false,
        "default_env_name": "ANTHROPIC_API_KEY", "endpoints": ["https://api.anthropic.com"],
        "version": 1, "created_at": "x", "updated_at": "x"
    })
}

fn server() -> Server {
    let routes = Router::new()
        .route(
            "/connect/connectors",
            post(|| async { (StatusCode::CREATED, Json(json!({"data": connector()}))) })
                .get(|| async { Json(json!({"data": [connector()]})) }),
        )
        .route("/connect/connectors/{uid}", any(|| async { Json(json!({"data": connector()})) }))
        .route("/admin/connectors/{uid}", post(|| async { Json(json!({"data": connector()})) }))
        .route("/sandboxes/s/connectors/{uid}", any(|| async { StatusCode::NO_CONTENT }))
        .route("/sandboxes/s/connectors", get(|| async { Json(json!({"data": []})) }).post(|| async {
            Json(json!({"data": {
                "id": "b", "connector": "anthropic/default", "provider": "anthropic",
                "env_name": "ANTHROPIC_API_KEY", "expose_as_env": "ANTHROPIC_API_KEY",
                "mode": "brokered_env", "placeholder_preview": "miosa-tok-12…",
                "resource_id": "s", "resource_type": "sandbox", "endpoints": [], "created_at": "x"
            }}))
        }));
    Server::start(routes)
}

#[test]
fn a_secret_from_standard_input_is_trimmed_sent_and_never_shown() {
    let server = server();
    let cli = Cli::new(&server);
    let arguments = [
        "connectors",
        "create",
        "anthropic",
        "--name",
        "workspace-claude",
        "--stdin",
        "--json",
        "--debug",
    ];
    let outcome = cli.run_with(&arguments, format!(" {SECRET}\n").as_bytes());
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(!format!("{outcome:?}").contains(SECRET), "{outcome:?}");
    assert_eq!(outcome.json()["uid"], "anthropic/default");
    let seen = server.only("POST");
    assert_eq!(
        seen.body,
        json!({
            "provider": "anthropic", "type": "api-key", "uid": "anthropic/workspace-claude",
            "scope": "tenant", "credential": {"field": "api_key", "value": SECRET}
        })
    );
    assert_eq!(
        seen.headers["authorization"],
        "Bearer msk_test_key_of_the_test"
    );
}

#[test]
fn an_empty_secret_reaches_nobody() {
    let server = server();
    let cli = Cli::new(&server);
    for input in [&b""[..], b" \n\t"] {
        let outcome = cli.run_with(
            &["connectors", "create", "anthropic", "--stdin", "--json"],
            input,
        );
        assert_eq!(outcome.code, 1);
        assert_eq!(outcome.json()["error"]["code"], "CLI_USAGE_ERROR");
    }
    assert!(server.seen().is_empty());
}

#[test]
fn a_workspace_makes_the_scope() {
    let server = server();
    let path = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(path.path(), SECRET).unwrap();
    let file = path.path().to_str().unwrap();
    let arguments = [
        "connectors",
        "create",
        "anthropic",
        "--file",
        file,
        "--workspace",
        "w",
    ];
    assert_eq!(Cli::new(&server).run(&arguments).code, 0);
    let seen = server.only("POST");
    assert_eq!(seen.body["scope"], "workspace");
    assert_eq!(seen.body["workspace_id"], "w");
    assert_eq!(seen.body["uid"], "anthropic/default");
}

#[test]
fn a_uid_is_one_segment_of_the_path() {
    let server = server();
    let cli = Cli::new(&server);
    assert_eq!(
        cli.run(&["connectors", "show", "refero/design-research"])
            .code,
        0
    );
    assert_eq!(
        server.only("GET").path,
        "/api/v1/connect/connectors/refero%2Fdesign-research"
    );
    let outcome = cli.run(&[
        "sandbox",
        "connectors",
        "detach",
        "s",
        "refero/design-research",
        "--json",
    ]);
    assert_eq!(outcome.json(), json!({"deleted": true}), "{outcome:?}");
    assert_eq!(
        server.only("DELETE").path,
        "/api/v1/sandboxes/s/connectors/refero%2Fdesign-research"
    );
    let outcome = cli.run_with(
        &[
            "admin",
            "connectors",
            "set",
            "refero/design-research",
            "--stdin",
        ],
        SECRET.as_bytes(),
    );
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(
        server.only("POST").path,
        "/api/v1/admin/connectors/refero%2Fdesign-research"
    );
}

#[test]
fn attach_sends_the_contracts_fields() {
    let server = server();
    let arguments = [
        "sandbox",
        "connectors",
        "attach",
        "s",
        "anthropic/default",
        "--env",
        "ANTHROPIC_API_KEY",
        "--json",
    ];
    let outcome = Cli::new(&server).run(&arguments);
    assert_eq!(outcome.json()["placeholder_preview"], "miosa-tok-12…");
    assert_eq!(
        server.only("POST").body,
        json!({"connector": "anthropic/default", "env_name": "ANTHROPIC_API_KEY", "mode": "brokered-env"})
    );
}

#[test]
fn a_table_for_people_and_an_array_for_programs() {
    let server = server();
    let cli = Cli::new(&server);
    let outcome = cli.run(&["connectors", "list"]);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(lines[0], "UID                PROVIDER   TYPE     STATUS");
    assert_eq!(lines[1], "anthropic/default  anthropic  api_key  connected");
    assert_eq!(
        cli.run(&["provider", "list", "--json"]).json(),
        json!([connector()])
    );
}

#[test]
fn the_catalog_is_a_table_of_what_can_be_made() {
    let entry = json!({
        "provider": "gitlab", "type": "api_key", "display_name": "GitLab", "default_env_name": "GITLAB_TOKEN",
        "hosts": ["gitlab.com"], "endpoints": ["GET https://gitlab.com/api/v4/user"], "probe": true
    });
    let answer = json!({"data": [entry.clone()]});
    let routes = Router::new().route("/connect/catalog", get(|| async { Json(answer) }));
    let server = Server::start(routes);
    let cli = Cli::new(&server);
    let outcome = cli.run(&["connectors", "catalog"]);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines[0], "PROVIDER  TYPE     VARIABLE      HOSTS",
        "{outcome:?}"
    );
    assert_eq!(lines[1], "gitlab    api_key  GITLAB_TOKEN  gitlab.com");
    assert_eq!(
        cli.run(&["connectors", "catalog", "--json"]).json(),
        json!([entry])
    );
}

#[test]
fn a_definition_is_checked_without_a_server() {
    let server = server();
    let cli = Cli::new(&server);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.toml");
    let path = file.to_str().unwrap();
    let text = include_str!("../../../../connectors/gitlab.toml");
    fs_err::write(&file, text.replace("\"gitlab\"", "\"acme\"")).unwrap();
    let outcome = cli.run(&["connectors", "validate", path, "--json"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let answer = outcome.json();
    assert_eq!(answer["valid"], true);
    assert_eq!(answer["definition"]["provider"], "acme");
    assert_eq!(answer["conflicts_with"], json!(["gitlab"]));

    let bad = text.replace("\"private-token\"", "\"content-length\"");
    fs_err::write(&file, &bad).unwrap();
    let outcome = cli.run(&["connectors", "validate", path, "--json"]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    let error = &outcome.json()["error"];
    let line = 1 + bad
        .split("\"content-length\"")
        .next()
        .unwrap()
        .matches('\n')
        .count();
    assert_eq!(error["code"], "CLI_INVALID_DEFINITION");
    assert_eq!(error["details"]["line"], line);
    assert_eq!(error["details"]["field"], "places[0].name");
    let shown = cli.run(&["connectors", "validate", path]).stderr;
    assert!(
        shown.contains(&format!("{path}:{line}: `places[0].name`")),
        "{shown}"
    );
    assert!(server.seen().is_empty(), "nobody was asked");
}
