//! What is refused, in which words, and that nobody saw any of it.

use std::net::SocketAddr;

use http::Version;
use miosa_api::broker::PolicyMode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, body, request};
use crate::provider::{Authority, Provider, text};
use crate::sandbox::Sandbox;
use crate::world::{World, audit_only, patiently};

const HOST: &str = "api.example.com";
const ATTACKER: &str = "attacker.example.com";

struct Scene {
    world: World,
    sandbox: Sandbox,
    provider: Provider,
    attacker: Provider,
    plain: Provider,
}

async fn scene(mode: PolicyMode) -> Scene {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let attacker = Provider::start(&authority, ATTACKER).await;
    let plain = Provider::start_plain().await;
    let hosts = [
        (HOST, provider.address),
        (ATTACKER, attacker.address),
        ("api.example.com:80", plain.address),
        (
            "private.example.com",
            SocketAddr::from(([127, 0, 0, 1], 443)),
        ),
        (
            "metadata.example.com",
            SocketAddr::from(([169, 254, 169, 254], 80)),
        ),
    ];
    let world = World::start(&authority, &hosts).await;
    let mut policy = audit_only(vec![world.binding(HOST, "/v1/echo")]);
    policy.mode = mode;
    let sandbox = world.sandbox("s", policy).await;
    Scene {
        world,
        sandbox,
        provider,
        attacker,
        plain,
    }
}

impl Scene {
    /// Asserts that no request went anywhere, and that the audit has `code`.
    async fn nobody_saw(&self, code: &str) {
        for server in [&self.provider, &self.attacker, &self.plain] {
            assert!(server.seen().is_empty(), "{:?}", server.seen());
            assert_eq!(server.connections(), 0);
        }
        let has_code = |event: &miosa_api::audit::AuditEvent| event.code.as_deref() == Some(code);
        let events = self.world.audit(|events| events.iter().any(has_code)).await;
        let event = events.iter().find(|event| has_code(event)).unwrap();
        assert!(!event.swapped && event.action != "allow", "{event:?}");
    }

    async fn ask(&self, host: &str, method: &str, path: &str, code: &str) {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let mut client = Client::https(&self.sandbox, host, version).await;
            let url = format!("https://{host}{path}");
            // Twice: a refusal leaves the connection usable.
            for _ in 0..2 {
                let answer = client.ask(method, &url, self.sandbox.placeholder()).await;
                assert_eq!(answer.code(), code);
            }
        }
        self.nobody_saw(code).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_path() {
    let scene = scene(PolicyMode::AuditOnly).await;
    scene
        .ask(HOST, "GET", "/v1/other", "EGRESS_PATH_NOT_BOUND")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method() {
    let scene = scene(PolicyMode::AuditOnly).await;
    scene
        .ask(HOST, "DELETE", "/v1/echo", "EGRESS_METHOD_NOT_BOUND")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_host() {
    let scene = scene(PolicyMode::AuditOnly).await;
    scene
        .ask(ATTACKER, "GET", "/v1/echo", "EGRESS_PLACEHOLDER_NOT_BOUND")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_rule() {
    let scene = scene(PolicyMode::Enforce).await;
    scene
        .ask(ATTACKER, "GET", "/", "EGRESS_HOST_NOT_ALLOWED")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses() {
    let scene = scene(PolicyMode::AuditOnly).await;
    for host in ["private.example.com", "metadata.example.com"] {
        let mut client = Client::https(&scene.sandbox, host, Version::HTTP_11).await;
        let answer = client.ask("GET", &format!("https://{host}/"), "").await;
        assert_eq!(answer.code(), "EGRESS_ADDRESS_NOT_ALLOWED");
    }
    scene.nobody_saw("EGRESS_ADDRESS_NOT_ALLOWED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_140_no_placeholder_comes_into_the_audit() {
    let scene = scene(PolicyMode::AuditOnly).await;
    let placeholder = scene.sandbox.placeholder();
    let mut client = Client::https(&scene.sandbox, HOST, Version::HTTP_11).await;
    for (method, path) in [
        ("GET", format!("/v1/{placeholder}")),
        ("GET", format!("/v1/{}", placeholder.replace('-', "%2D"))),
        ("GET", format!("/v1/echo?a={placeholder}")),
        (placeholder, "/v1/echo".to_owned()),
    ] {
        let url = format!("https://{HOST}{path}");
        assert!(client.ask(method, &url, "").await.status >= 400, "{url}");
    }
    let host = format!("{placeholder}.example.com");
    let mut client = Client::http(&scene.sandbox, &host).await;
    let answer = client.ask("GET", &format!("http://{host}/"), "").await;
    assert_eq!(answer.code(), "EGRESS_CLEARTEXT_CREDENTIAL");
    let events = scene.world.audit(|events| events.len() == 5).await;
    let is_left_out = |event: &&miosa_api::audit::AuditEvent| {
        event.path.as_deref() == Some("…")
            || event.method.as_deref() == Some("…")
            || event.host == "…"
    };
    assert_eq!(events.iter().filter(is_left_out).count(), 4, "{events:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_in_cleartext() {
    let scene = scene(PolicyMode::AuditOnly).await;
    let mut client = Client::http(&scene.sandbox, HOST).await;
    let url = format!("http://{HOST}/v1/echo");
    let answer = client.ask("GET", &url, scene.sandbox.placeholder()).await;
    assert_eq!(answer.code(), "EGRESS_CLEARTEXT_CREDENTIAL");
    scene.nobody_saw("EGRESS_CLEARTEXT_CREDENTIAL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_header_unlike_the_server_name() {
    let scene = scene(PolicyMode::AuditOnly).await;
    for (server_name, host) in [(ATTACKER, HOST), (HOST, ATTACKER)] {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let mut client = Client::https(&scene.sandbox, server_name, version).await;
            let url = format!("https://{host}/v1/echo");
            let answer = client.ask("GET", &url, scene.sandbox.placeholder()).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (421, "EGRESS_AUTHORITY_MISMATCH")
            );
        }
    }
    scene.nobody_saw("EGRESS_AUTHORITY_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_name_unlike_the_looked_up_name() {
    let scene = scene(PolicyMode::AuditOnly).await;
    let address = (scene.sandbox.lookup(ATTACKER), 443).into();
    let mut client = Client::https_at(&scene.sandbox, address, HOST, Version::HTTP_11).await;
    let url = format!("https://{HOST}/v1/echo");
    let answer = client.ask("GET", &url, scene.sandbox.placeholder()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (421, "EGRESS_SERVER_NAME_MISMATCH")
    );
    scene.nobody_saw("EGRESS_SERVER_NAME_MISMATCH").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_a_name() {
    let scene = scene(PolicyMode::AuditOnly).await;
    // Neither the attacker's real address nor the provider's is reachable as such.
    for (address, name) in [
        ("203.0.113.7:443", HOST),
        ("93.184.216.34:8443", "93.184.216.34"),
    ] {
        let address = address.parse().unwrap();
        let mut client = Client::https_at(&scene.sandbox, address, name, Version::HTTP_11).await;
        let url = format!("https://{name}/v1/echo");
        let answer = client.ask("GET", &url, scene.sandbox.placeholder()).await;
        assert_eq!(answer.code(), "EGRESS_ADDRESS_LITERAL");
    }
    scene.nobody_saw("EGRESS_ADDRESS_LITERAL").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_protocols() {
    let scene = scene(PolicyMode::AuditOnly).await;
    let mut stream = scene
        .sandbox
        .connect((scene.sandbox.lookup(HOST), 22).into());
    stream.write_all(b"SSH-2.0-OpenSSH_9\r\n").await.unwrap();
    let mut answer = String::new();
    patiently(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("EGRESS_PROTOCOL_NOT_ALLOWED"), "{answer}");
    scene.nobody_saw("EGRESS_PROTOCOL_NOT_ALLOWED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_without_a_policy() {
    let scene = scene(PolicyMode::AuditOnly).await;
    let unknown = Sandbox::new("unknown", audit_only(Vec::new()), String::new());
    assert!(scene.world.hand_over(&unknown, 1));
    let mut client = Client::http(&unknown, ATTACKER).await;
    let answer = client.ask("GET", &format!("http://{ATTACKER}/"), "").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "EGRESS_POLICY_UNAVAILABLE")
    );
    scene.nobody_saw("EGRESS_POLICY_UNAVAILABLE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_upgrades() {
    let scene = scene(PolicyMode::AuditOnly).await;
    let mut client = Client::https(&scene.sandbox, HOST, Version::HTTP_11).await;
    let url = format!("https://{HOST}/v1/echo");
    let request = request("GET", &url, scene.sandbox.placeholder())
        .header("connection", "upgrade")
        .header("upgrade", "h2c")
        .body(body(""))
        .unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(
        response.headers()["x-miosa-refusal"],
        "EGRESS_UPGRADE_NOT_ALLOWED"
    );
    patiently(text(response.into_body())).await;
    scene.nobody_saw("EGRESS_UPGRADE_NOT_ALLOWED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name() {
    let authority = Authority::new();
    let impostor = Provider::start(&authority, ATTACKER).await;
    let world = World::start(&authority, &[(HOST, impostor.address)]).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/echo")]))
        .await;
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_2).await;
    let url = format!("https://{HOST}/v1/echo");
    let answer = client.ask("GET", &url, sandbox.placeholder()).await;
    assert_eq!(answer.code(), "EGRESS_UPSTREAM_CERTIFICATE");
    assert!(impostor.seen().is_empty());
}
