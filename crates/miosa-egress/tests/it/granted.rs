//! What goes on after it was let in, a tunnel or a WebSocket, is held to the policy in force and to the
//! limit of connections all the same.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use http::Version;
use miosa_api::broker::{Effect, Rule, SandboxPolicy};
use miosa_api::limits::BROKER_CONNECTIONS_PER_SANDBOX_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::client::{self, Client};
use crate::provider::{Authority, Provider};
use crate::sandbox::Sandbox;
use crate::world::{World, audit_only, patiently};

const HOST: &str = "api.example.com";

type Socket = WebSocketStream<TlsStream<TcpStream>>;

async fn scene() -> (World, Sandbox, Provider) {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
        .await;
    (world, sandbox, provider)
}

async fn websocket(sandbox: &Sandbox) -> Socket {
    let stream = sandbox.connect((sandbox.lookup(HOST), 443).into());
    let stream = client::tls(stream, HOST, sandbox.roots(), Version::HTTP_11)
        .await
        .unwrap();
    let mut request = format!("wss://{HOST}/v1/ws").into_client_request().unwrap();
    let bearer = format!("Bearer {}", sandbox.placeholder());
    let headers = request.headers_mut();
    headers.insert("authorization", bearer.parse().unwrap());
    let opened = tokio_tungstenite::client_async(request, stream);
    patiently(opened).await.unwrap().0
}

async fn echoes(socket: &mut Socket) -> bool {
    if socket.send(Message::text("hello")).await.is_err() {
        return false;
    }
    let answer = patiently(socket.next()).await;
    matches!(answer, Some(Ok(Message::Text(_))))
}

fn next(policy: &SandboxPolicy) -> SandboxPolicy {
    let mut next = policy.clone();
    next.generation += 1;
    next
}

fn deny(host: &str) -> Rule {
    Rule {
        id: "r1".to_owned(),
        policy_id: None,
        host: host.to_owned(),
        effect: Effect::Deny,
        methods: Vec::new(),
        path: None,
    }
}

/// What is done to a policy.
type Change = fn(&World, &mut SandboxPolicy);

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_with_what_let_it_in() {
    let (world, sandbox, _provider) = scene().await;
    let changes: [(&str, Change); 4] = [
        ("detached", |_, policy| policy.bindings.clear()),
        ("rotated", |world, policy| {
            let sealed = world.binding(HOST, "/v1/**").sealed;
            policy.bindings[0].sealed = sealed;
        }),
        ("denied", |_, policy| policy.rules.push(deny(HOST))),
        ("denied by address", |_, policy| {
            policy.rules.push(deny("127.0.0.64/26"));
        }),
    ];
    let mut policy = sandbox.policy.clone();
    for (what, change) in changes {
        let mut socket = websocket(&sandbox).await;
        assert!(echoes(&mut socket).await, "before it is {what}");
        // A change that does not concern it leaves it alone.
        policy = next(&policy);
        policy.rules = vec![deny("else.example.com")];
        world.put("s", &policy).await.unwrap();
        assert!(echoes(&mut socket).await, "before it is {what}");
        let before = next(&policy);
        policy = before.clone();
        change(&world, &mut policy);
        world.put("s", &policy).await.unwrap();
        assert!(!echoes(&mut socket).await, "{what}");
        policy = next(&before);
        policy.generation += 1;
        policy.bindings = sandbox.policy.bindings.clone();
        world.put("s", &policy).await.unwrap();
    }
    let is_cut = |event: &&miosa_api::audit::AuditEvent| event.action == "reject";
    world
        .audit(|events| events.iter().filter(is_cut).count() == 4)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_with_its_listener() {
    let (_world, sandbox, _provider) = scene().await;
    let mut socket = websocket(&sandbox).await;
    assert!(echoes(&mut socket).await);
    sandbox.shims.lock().unwrap().clear();
    patiently(async { while echoes(&mut socket).await {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_counts_as_a_connection() {
    const RELAYS: usize = 4;
    let (_world, sandbox, _provider) = scene().await;
    let mut sockets = Vec::new();
    for _ in 0..RELAYS {
        let mut socket = websocket(&sandbox).await;
        assert!(echoes(&mut socket).await);
        sockets.push(socket);
    }
    let address: SocketAddr = (sandbox.lookup(HOST), 443).into();
    let idle = BROKER_CONNECTIONS_PER_SANDBOX_MAX - RELAYS;
    let _open: Vec<TcpStream> = (0..idle).map(|_| sandbox.connect(address)).collect();
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    let url = format!("https://{HOST}/v1/echo");
    let answer = client.ask("GET", &url, sandbox.placeholder()).await;
    assert_eq!(answer.code(), "EGRESS_TOO_MANY_REQUESTS");
}

/// Answers a question for addresses with that of providers, one for IPv6 with none.
fn answer(question: &[u8]) -> Vec<u8> {
    const IS_ANSWER: [u8; 2] = [0x81, 0x80];
    const KIND_A: [u8; 2] = [0, 1];
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 1;
    let is_a = question[name_end..name_end + 2] == KIND_A;
    let mut answer = [
        &question[..2],
        &IS_ANSWER,
        &[0, 1, 0, u8::from(is_a), 0, 0, 0, 0],
    ]
    .concat();
    answer.extend_from_slice(&question[12..name_end + 4]);
    if is_a {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 77]);
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_while_a_tunnel_is_dialled_counts() {
    let authority = Authority::new();
    let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let provider = TcpListener::bind("127.0.0.77:0").await.unwrap();
    let mut world = World::prepare(&authority, &[]);
    world.config.resolvers = vec![resolver.local_addr().unwrap()];
    world.start_broker().await;
    let sandbox = world.sandbox("s", audit_only(Vec::new())).await;
    let port = provider.local_addr().unwrap().port();
    let mut stream = sandbox.connect((sandbox.lookup(HOST), port).into());
    stream.write_all(&client_hello()).await.unwrap();

    let mut question = [0; 512];
    let (length, from) = patiently(resolver.recv_from(&mut question)).await.unwrap();
    let mut policy = next(&sandbox.policy);
    policy.bindings = vec![world.binding(HOST, "/v1/**")];
    policy.bindings[0].endpoints[0].port = port;
    world.put("s", &policy).await.unwrap();
    resolver
        .send_to(&answer(&question[..length]), from)
        .await
        .unwrap();
    let others = async {
        loop {
            let (length, from) = resolver.recv_from(&mut question).await.unwrap();
            let answer = answer(&question[..length]);
            resolver.send_to(&answer, from).await.unwrap();
        }
    };
    let reading = async {
        let (mut dialled, _) = provider.accept().await.unwrap();
        let mut first = [0; 1];
        dialled.read(&mut first).await.unwrap_or(0)
    };
    let read = tokio::select! {
        read = patiently(reading) => read,
        () = others => unreachable!(),
    };
    assert_eq!(read, 0, "nothing of the caller reaches the provider");
    let is_cut = |event: &miosa_api::audit::AuditEvent| event.action == "reject";
    world.audit(|events| events.iter().any(is_cut)).await;
}

/// A scene whose provider is found only when the test answers the question for its address.
async fn undecided() -> (World, Sandbox, Provider, UdpSocket) {
    let authority = Authority::new();
    let resolver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let provider = Provider::start(&authority, HOST).await;
    let mut world = World::prepare(&authority, &[]);
    world.config.resolvers = vec![resolver.local_addr().unwrap()];
    world.start_broker().await;
    let mut policy = audit_only(vec![world.binding(HOST, "/v1/**")]);
    policy.bindings[0].endpoints[0].port = provider.address.port();
    let sandbox = world.sandbox("s", policy).await;
    (world, sandbox, provider, resolver)
}

async fn answer_all(resolver: &UdpSocket) -> std::convert::Infallible {
    let mut question = [0; 512];
    loop {
        let (length, from) = resolver.recv_from(&mut question).await.unwrap();
        let answer = answer(&question[..length]);
        resolver.send_to(&answer, from).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_113_a_credential_taken_back_while_its_provider_is_dialled_is_not_sent() {
    for is_taken_back in [false, true] {
        let (world, sandbox, provider, resolver) = undecided().await;
        let port = provider.address.port();
        let address = (sandbox.lookup(HOST), port).into();
        let mut client = Client::https_at(&sandbox, address, HOST, Version::HTTP_11).await;
        let url = format!("https://{HOST}:{port}/v1/echo");
        let asking = client.ask("GET", &url, sandbox.placeholder());
        let changing = async {
            let mut question = [0; 512];
            let (length, from) = patiently(resolver.recv_from(&mut question)).await.unwrap();
            let mut policy = next(&sandbox.policy);
            // A change that does not concern it does not matter.
            policy.rules = vec![deny("else.example.com")];
            if is_taken_back {
                policy.bindings.clear();
            }
            world.put("s", &policy).await.unwrap();
            let answer = answer(&question[..length]);
            resolver.send_to(&answer, from).await.unwrap();
            answer_all(&resolver).await
        };
        let answer = tokio::select! {
            answer = asking => answer,
            never = changing => match never {},
        };
        if is_taken_back {
            assert_eq!(answer.code(), "EGRESS_POLICY_UNAVAILABLE");
            assert!(provider.seen().is_empty());
        } else {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_113_an_upload_ends_with_what_let_it_begin() {
    type Piece = Result<http_body::Frame<bytes::Bytes>, std::convert::Infallible>;
    let frame = |text: &'static str| -> Piece { Ok(http_body::Frame::data(text.into())) };
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (world, sandbox, provider) = scene().await;
        let mut client = Client::https(&sandbox, HOST, version).await;
        let (pieces, mut source) = tokio::sync::mpsc::channel::<Piece>(1);
        let source = futures_util::stream::poll_fn(move |cx| source.poll_recv(cx));
        let body = http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(source));
        let url = format!("https://{HOST}/v1/upload");
        let request = client::request("POST", &url, sandbox.placeholder());
        let answered = tokio::spawn(async move { client.send(request.body(body).unwrap()).await });
        let arrived = |count| {
            let provider = provider.clone();
            patiently(async move {
                while provider.pieces().len() < count {
                    tokio::task::yield_now().await;
                }
            })
        };
        pieces.send(frame("one")).await.unwrap();
        arrived(1).await;
        let mut policy = next(&sandbox.policy);
        policy.rules = vec![deny("else.example.com")];
        world.put("s", &policy).await.unwrap();
        pieces.send(frame("two")).await.unwrap();
        arrived(2).await;
        policy = next(&policy);
        policy.bindings.clear();
        world.put("s", &policy).await.unwrap();
        // The broker may be gone by now.
        let _ = pieces.send(frame("three")).await;
        drop(pieces);
        if let Ok(answer) = patiently(answered).await.unwrap() {
            assert_eq!(answer.status(), 503, "{version:?}");
        }
        assert_eq!(provider.pieces(), ["one", "two"], "{version:?}");
    }
}

/// What a client says first.
fn client_hello() -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = HOST.try_into().unwrap();
    let mut connection = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}
