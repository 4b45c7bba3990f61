//! Previews over real sockets: a visitor, the server, a guest agent's socket, an application.

#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a walk is told in one piece, and a step that fails is the test's failure"
)]

mod inside;
#[path = "../connect/world.rs"]
#[expect(
    dead_code,
    reason = "shared with the tests of connectors, which use more of it"
)]
mod world;

use futures_util::{SinkExt, StreamExt};
use inside::Inside;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use world::{Caller, World};

struct Street {
    world: World,
    owner: Caller,
    inside: Inside,
}

impl Street {
    /// A running sandbox `house` with an application in it.
    async fn build() -> Self {
        let world = World::start().await;
        let owner = world.tenant("owner").await;
        world.sandbox(&owner, "house", "running").await;
        let inside = inside::start(world.folder.path().join("run/sandboxes/house")).await;
        Self {
            world,
            owner,
            inside,
        }
    }

    fn address(&self) -> String {
        self.world
            .base
            .trim_start_matches("http://")
            .trim_end_matches("/api/v1")
            .to_owned()
    }

    async fn expose(&self, port: u16, visibility: Option<&str>) -> Value {
        let body = json!({ "port": port, "visibility": visibility });
        let answer = self
            .owner
            .send(Method::POST, "/sandboxes/house/expose", Some(body))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body["data"].clone()
    }

    fn visit(&self, method: Method, label: &str, path: &str) -> RequestBuilder {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let host = format!("{label}.sandbox.localhost:7070");
        client
            .request(method, format!("http://{}{path}", self.address()))
            .header("host", host)
    }

    fn label(&self) -> String {
        format!("{}-house", self.inside.port)
    }

    async fn raw(&self, request: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.address())
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = vec![0; 1024];
        let read = stream.read(&mut text).await.unwrap();
        String::from_utf8_lossy(&text[..read]).into_owned()
    }
}

#[tokio::test]
async fn a_public_preview_is_served_and_tells_the_application_who_asks() {
    let street = Street::build().await;
    let preview = street.expose(street.inside.port, None).await;
    let url = preview["url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!("http://{}.sandbox.localhost:", street.label())),
        "{url}"
    );
    assert_eq!(preview["visibility"], "public", "on loopback");
    for label in [street.label(), "house".to_owned()] {
        let answer = street
            .visit(Method::GET, &label, "/echo?a=1")
            .header("authorization", "Basic dmlzaXRvcjp4")
            .header("authorization", "Bearer msk_u_0123")
            .header("cookie", "miosa_preview=x; theme=dark")
            .header("x-forwarded-for", "9.9.9.9")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["x-robots-tag"], "noindex");
        let said = answer.text().await.unwrap();
        assert!(said.starts_with("GET /echo?a=1\n"), "{said}");
        assert!(
            said.contains(&format!("x-forwarded-host: {label}.sandbox.localhost:7070")),
            "{said}"
        );
        assert!(said.contains("x-forwarded-for: 127.0.0.1"), "{said}");
        assert!(said.contains("cookie: theme=dark\n"), "{said}");
        assert!(
            !said.contains("msk_") && !said.contains("miosa_preview"),
            "{said}"
        );
    }
    let cookies = street
        .visit(Method::GET, &street.label(), "/cookies")
        .send()
        .await
        .unwrap();
    assert_eq!(cookies.headers()["set-cookie"], "own=1; Path=/");
    street.world.stop().await;
}

#[tokio::test]
async fn only_exposed_ports_of_running_sandboxes_are_served() {
    let street = Street::build().await;
    let port = street.inside.port;
    let before = street
        .visit(Method::GET, &street.label(), "/echo")
        .send()
        .await
        .unwrap();
    assert_eq!(
        before.status(),
        StatusCode::NOT_FOUND,
        "it listens, but is not exposed"
    );
    let preview = street.expose(port, None).await;
    for (label, status) in [
        (street.label(), 200),
        ("22-house".to_owned(), 404),
        (format!("{port}-elsewhere"), 404),
        (street.label().to_uppercase(), 200),
    ] {
        let answer = street
            .visit(Method::GET, &label, "/echo")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{label}");
    }
    let label = street.label();
    let two = format!(
        "GET /echo HTTP/1.1\r\nHost: {label}.sandbox.localhost\r\nHost: evil.example\r\n\r\n"
    );
    assert!(street.raw(&two).await.starts_with("HTTP/1.1 400"));
    let evil =
        format!("GET /echo HTTP/1.1\r\nHost: {label}.sandbox.localhost.evil.example\r\n\r\n");
    assert!(
        street.raw(&evil).await.starts_with("HTTP/1.1 404"),
        "no preview, no route"
    );

    let closing = format!(
        "/sandboxes/house/previews/{}",
        preview["id"].as_str().unwrap()
    );
    assert_eq!(
        street
            .owner
            .send(Method::DELETE, &closing, None)
            .await
            .status,
        204
    );
    let after = street
        .visit(Method::GET, &label, "/echo")
        .send()
        .await
        .unwrap();
    assert_eq!(after.status(), StatusCode::NOT_FOUND);
    street.world.stop().await;
}

#[tokio::test]
async fn a_stopped_sandbox_and_a_silent_port_say_so() {
    let street = Street::build().await;
    street
        .world
        .sandbox(&street.owner, "closed", "stopped")
        .await;
    let asked = json!({ "port": 3000 });
    street
        .owner
        .send(Method::POST, "/sandboxes/closed/expose", Some(asked))
        .await;
    let answer = street
        .visit(Method::GET, "3000-closed", "/")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::CONFLICT);

    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = free.local_addr().unwrap().port();
    drop(free);
    street.expose(silent, None).await;
    let label = format!("{silent}-house");
    let answer = street.visit(Method::GET, &label, "/").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["code"], "PREVIEW_NOT_LISTENING");
    let page = street
        .visit(Method::GET, &label, "/")
        .header("accept", "text/html")
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), StatusCode::BAD_GATEWAY);
    assert!(page.text().await.unwrap().contains("<h1>"));
    street.world.stop().await;
}

#[tokio::test]
async fn a_private_preview_opens_for_its_own_token_alone() {
    let street = Street::build().await;
    let port = street.inside.port;
    let preview = street.expose(port, Some("private")).await;
    let other = street.expose(port ^ 1, Some("private")).await;
    let open = async |label: &str, token: &str| {
        let request = street
            .visit(Method::GET, label, "/echo")
            .header("x-miosa-preview-token", token);
        request.send().await.unwrap()
    };
    let share = async |preview: &Value| {
        let path = format!(
            "/sandboxes/house/previews/{}/share",
            preview["id"].as_str().unwrap()
        );
        let answer = street
            .owner
            .send(Method::POST, &path, Some(json!({ "ttl_seconds": 60 })))
            .await;
        answer.body["preview_token"].as_str().unwrap().to_owned()
    };
    let label = street.label();
    let token = share(&preview).await;
    assert!(token.starts_with("miosa_pv_"));
    let answer = open(&label, &token).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(
        !answer.text().await.unwrap().contains(&token),
        "the application never sees it"
    );
    let foreign = share(&other).await;
    for wrong in ["", "miosa_pv_0", &foreign, &token[..token.len() - 1]] {
        assert_eq!(
            open(&label, wrong).await.status(),
            StatusCode::UNAUTHORIZED,
            "{wrong}"
        );
    }
    for (port, want) in [(port, StatusCode::OK), (port ^ 1, StatusCode::UNAUTHORIZED)] {
        let path = "/sandboxes/house/preview-token";
        let wish = json!({ "port": port });
        let minted = street.owner.send(Method::POST, path, Some(wish)).await;
        let token = minted.body["token"].as_str().unwrap().to_owned();
        assert!(token.starts_with("mp_"));
        assert_eq!(open(&label, &token).await.status(), want, "{port}");
    }

    let lead = street
        .visit(
            Method::GET,
            &label,
            &format!("//evil.example/?preview_token={token}"),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(lead.status(), StatusCode::SEE_OTHER);
    let location = lead.headers()["location"].to_str().unwrap();
    assert_eq!(
        location,
        format!("http://{label}.sandbox.localhost:7070//evil.example/"),
        "never another host"
    );
    let cookie = lead.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && !cookie.to_lowercase().contains("domain"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let again = street
        .visit(Method::GET, &label, "/echo")
        .header("cookie", pair)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), StatusCode::OK);
    for (origin, expected) in [
        (
            format!("http://{label}.sandbox.localhost:7070"),
            StatusCode::OK,
        ),
        (
            "http://3000-evil.sandbox.localhost:7070".to_owned(),
            StatusCode::UNAUTHORIZED,
        ),
        ("null".to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        let posted = street
            .visit(Method::POST, &label, "/echo")
            .header("cookie", pair)
            .header("origin", &origin);
        assert_eq!(
            posted.send().await.unwrap().status(),
            expected,
            "a page of {origin}"
        );
    }

    let unshare = format!(
        "/sandboxes/house/previews/{}/share",
        preview["id"].as_str().unwrap()
    );
    assert_eq!(
        street
            .owner
            .send(Method::DELETE, &unshare, None)
            .await
            .status,
        204
    );
    assert_eq!(
        open(&label, &token).await.status(),
        StatusCode::UNAUTHORIZED
    );
    street.world.stop().await;
}

#[tokio::test]
async fn websockets_events_and_uploads_pass() {
    let street = Street::build().await;
    street.expose(street.inside.port, None).await;
    let label = street.label();
    let mut request = format!("ws://{}/ws", street.address())
        .into_client_request()
        .unwrap();
    let host = format!("{label}.sandbox.localhost:7070");
    request.headers_mut().insert("host", host.parse().unwrap());
    let stream = tokio::net::TcpStream::connect(street.address())
        .await
        .unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::text("got hello")
    );
    drop(socket);

    let answer = street
        .visit(Method::GET, &label, "/events")
        .send()
        .await
        .unwrap();
    let mut events = answer.bytes_stream();
    assert_eq!(
        &events.next().await.unwrap().unwrap()[..],
        b"data: one\n\n",
        "before the second is there"
    );
    street.inside.go_on.notify_one();
    assert_eq!(&events.next().await.unwrap().unwrap()[..], b"data: two\n\n");

    let bytes = 64 * 1024 * 1024;
    let upload = street
        .visit(Method::POST, &label, "/upload")
        .body(vec![7; bytes])
        .send()
        .await
        .unwrap();
    assert_eq!(upload.text().await.unwrap(), bytes.to_string());
    street.world.stop().await;
}

#[tokio::test]
async fn a_foreign_tenant_can_neither_expose_nor_share() {
    let street = Street::build().await;
    let preview = street.expose(street.inside.port, None).await;
    let stranger = street.world.tenant("stranger").await;
    let id = preview["id"].as_str().unwrap();
    for (method, path) in [
        (Method::POST, "/sandboxes/house/expose".to_owned()),
        (Method::GET, "/sandboxes/house/previews".to_owned()),
        (
            Method::POST,
            format!("/sandboxes/house/previews/{id}/share"),
        ),
        (Method::DELETE, format!("/sandboxes/house/previews/{id}")),
        (Method::POST, "/sandboxes/house/preview-token".to_owned()),
    ] {
        let answer = stranger
            .send(method, &path, Some(json!({ "port": 3000 })))
            .await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
    }
    street.world.stop().await;
}
