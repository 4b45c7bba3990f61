//! Files: how they travel either way.

use axum::body::Bytes;
use axum::extract::Query;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::HashMap;

use crate::server::{Cli, Server};

fn server() -> Server {
    let write = |Json(body): Json<Value>| async move {
        let bytes = STANDARD
            .decode(body["content_base64"].as_str().unwrap())
            .unwrap();
        Json(json!({"data": {"path": body["path"], "size": bytes.len()}}))
    };
    let stream = |Query(query): Query<HashMap<String, String>>, bytes: Bytes| async move {
        Json(json!({"data": {"path": query["path"], "size": bytes.len()}}))
    };
    let routes = Router::new()
        .route("/sandboxes/s/fs/write", post(write))
        .route("/sandboxes/s/fs/content", put(stream))
        .route(
            "/sandboxes/s/fs/download",
            get(|| async { vec![0_u8, 159, 146, 150] }),
        )
        .route(
            "/sandboxes/s/files/read",
            get(|| async { Json(json!({"data": {"content": "text"}})) }),
        );
    Server::start(routes.layer(axum::extract::DefaultBodyLimit::disable()))
}

#[test]
fn write_file_takes_a_file_or_the_text_itself() {
    let server = server();
    let cli = Cli::new(&server);
    fs_err::write(cli.home.path().join("page.jsx"), "from a file").unwrap();
    let outcome = cli.run(&["sandbox", "write-file", "s", "/w/a", "page.jsx", "--json"]);
    assert_eq!(
        outcome.json(),
        json!({"data": {"path": "/w/a", "size": 11}}),
        "the raw envelope"
    );
    cli.run(&[
        "sandbox",
        "write-file",
        "s",
        "/w/b",
        "the text",
        "--mode",
        "0755",
    ]);
    let seen = server.seen();
    assert_eq!(
        seen[0].body["content_base64"],
        STANDARD.encode("from a file")
    );
    assert_eq!(seen[1].body["content_base64"], STANDARD.encode("the text"));
    assert_eq!(seen[1].body["mode"], "0755");
}

#[test]
fn a_large_file_is_streamed() {
    let server = server();
    let cli = Cli::new(&server);
    let local = cli.home.path().join("large");
    fs_err::File::create(&local)
        .unwrap()
        .set_len(20 * 1024 * 1024)
        .unwrap();
    let outcome = cli.run(&["sandbox", "upload", "s", "large", "/w/a b", "--json"]);
    assert_eq!(
        outcome.json()["data"],
        json!({"path": "/w/a b", "size": 20 * 1024 * 1024}),
        "{outcome:?}"
    );
    assert_eq!(cli.run(&["sandbox", "upload", "s", "absent", "/w"]).code, 1);
}

#[test]
fn download_keeps_bytes_and_read_file_prints_text() {
    let server = server();
    let cli = Cli::new(&server);
    let outcome = cli.run(&["sandbox", "download", "s", "/w/image.png"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(
        fs_err::read(cli.home.path().join("image.png")).unwrap(),
        [0, 159, 146, 150]
    );
    assert_eq!(
        cli.run(&["sandbox", "read-file", "s", "/w/x"]).stdout,
        "text"
    );
    assert_eq!(cli.run(&["sandbox", "download", "s", "/w/"]).code, 1);
}
