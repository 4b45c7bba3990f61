//! Callers that do not keep to the protocols, or want too much: each is refused in words, within bounds,
//! and written down.

use std::sync::Arc;

use http::Version;
use miosa_api::audit::AuditEvent;
use miosa_api::limits::{
    BROKER_CONNECTIONS_PER_SANDBOX_MAX, BROKER_REQUESTS_PER_SANDBOX_MAX, BROKER_STREAMS_MAX,
    GUESSES_AT_ONCE_MAX,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Client, body, request, tls};
use crate::provider::{Authority, Provider};
use crate::sandbox::Sandbox;
use crate::world::{CANARY, World, audit_only, patiently};

const HOST: &str = "api.example.com";

struct Scene {
    world: World,
    sandbox: Sandbox,
    provider: Provider,
}

async fn scene() -> Scene {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let plain = Provider::start_plain().await;
    let hosts = [
        (HOST, provider.address),
        ("plain.example.com", plain.address),
    ];
    let world = World::start(&authority, &hosts).await;
    let policy = audit_only(vec![world.binding(HOST, "/v1/echo")]);
    let sandbox = world.sandbox("s", policy).await;
    Scene {
        world,
        sandbox,
        provider,
    }
}

impl Scene {
    fn dial(&self, host: &str, port: u16) -> TcpStream {
        self.sandbox
            .connect((self.sandbox.lookup(host), port).into())
    }

    async fn has(&self, code: &str) -> AuditEvent {
        let has_code = |event: &&AuditEvent| event.code.as_deref() == Some(code);
        let events = self
            .world
            .audit(|events| events.iter().any(|e| has_code(&e)))
            .await;
        events.iter().find(has_code).unwrap().clone()
    }
}

/// Sends bytes over TLS and reads all that comes back.
async fn raw(scene: &Scene, version: Version, bytes: &[u8]) -> Vec<u8> {
    let stream = scene.dial(HOST, 443);
    let mut stream = tls(stream, HOST, scene.sandbox.roots(), version)
        .await
        .unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // However it ends: what counts is what was said and that it did end.
    drop(patiently(stream.read_to_end(&mut answer)).await);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_061_062_heads_with_two_readings_are_refused_in_words() {
    let scene = scene().await;
    let token = scene.sandbox.placeholder();
    for rest in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length: +5\r\n",
        "x: y\nz: w\r\n",
        "x: y\r\n folded\r\n",
        "x : y\r\n",
    ] {
        let head = format!(
            "POST /v1/echo HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\n{rest}\r\n0\r\n\r\n"
        );
        let answer = raw(&scene, Version::HTTP_11, head.as_bytes()).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{rest:?}: {answer}");
        assert!(
            answer.contains("\"EGRESS_MALFORMED_REQUEST\""),
            "{rest:?}: {answer}"
        );
    }
    let mut stream = scene.dial("plain.example.com", 80);
    let head = b"GET / HTTP/1.1\nhost: plain.example.com\n\n";
    stream.write_all(head).await.unwrap();
    let mut answer = String::new();
    patiently(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("\"EGRESS_MALFORMED_REQUEST\""), "{answer}");
    let long = format!(
        "GET / HTTP/1.1\r\nhost: {HOST}\r\nx: {}\r\n\r\n",
        "x".repeat(70_000)
    );
    let answer = raw(&scene, Version::HTTP_11, long.as_bytes()).await;
    assert!(String::from_utf8_lossy(&answer).contains("EGRESS_HEAD_TOO_LARGE"));
    scene.has("EGRESS_HEAD_TOO_LARGE").await;
    let is_malformed = |e: &&AuditEvent| e.code.as_deref() == Some("EGRESS_MALFORMED_REQUEST");
    let all = |events: &[AuditEvent]| events.iter().filter(is_malformed).count() == 6;
    scene.world.audit(all).await;
    assert!(scene.provider.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn row_062_chunks_that_end_in_a_bare_lf_are_no_whole_request() {
    let scene = scene().await;
    // To nginx the body ends here, and a second request begins.
    let text = format!(
        "POST /other HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\nGET /b HTTP/1.1\r\nhost: {HOST}\r\n\r\n"
    );
    let answer = raw(&scene, Version::HTTP_11, text.as_bytes()).await;
    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(answer.matches("x-miosa-refusal").count(), 1, "{answer}");
    assert!(!answer.contains("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_head_that_the_parser_refuses_is_written_down() {
    let scene = scene().await;
    let good = format!("GET /other HTTP/1.1\r\nhost: {HOST}\r\n\r\n");
    let both = format!("{good}GET / HTTP/1.1\r\nbad name: x\r\n\r\n");
    let answer = raw(&scene, Version::HTTP_11, both.as_bytes()).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("HTTP/1.1 400 "),
        "{answer}"
    );
    scene.has("EGRESS_MALFORMED_REQUEST").await;
    assert_eq!(scene.provider.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_021_old_tls_is_refused_and_written_down() {
    let scene = scene().await;
    // A ClientHello of TLS 1.0 with one of its cipher suites and a server name.
    let name = HOST.as_bytes();
    let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
    let mut extension = vec![0, 0];
    extension.extend(length(name.len() + 5));
    extension.extend(length(name.len() + 3));
    extension.push(0);
    extension.extend(length(name.len()));
    extension.extend(name);
    let mut hello = vec![3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x14, 1, 0]);
    hello.extend(length(extension.len()));
    hello.extend(&extension);
    let mut message = vec![1, 0];
    message.extend(length(hello.len()));
    message.extend(&hello);
    let mut record = vec![0x16, 3, 1];
    record.extend(length(message.len()));
    record.extend(&message);
    let mut stream = scene.dial(HOST, 443);
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    patiently(stream.read_to_end(&mut answer)).await.unwrap();
    assert_ne!(answer.first(), Some(&0x16), "no ServerHello: {answer:?}");
    let event = scene.has("EGRESS_PROTOCOL_NOT_ALLOWED").await;
    assert_eq!(
        (event.host.as_str(), event.action.as_str()),
        (HOST, "reject")
    );
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn row_074_floods_of_frames_end_the_connection_alone() {
    const GOAWAY: u8 = 7;
    let scene = scene().await;
    let mut begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    begin.extend(frame(4, 0, 0, &[]));
    // A literal header that is not indexed, 100 bytes: as CONTINUATION frames without end.
    let field = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat();
    let mut continuation = frame(1, 0, 1, &field);
    continuation.extend(frame(9, 0, 1, &field).repeat(5000));
    // One field of 4000 bytes that is indexed once and named by a byte: 8 MiB of headers in 6 KiB.
    let mut bomb = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'z'; 4000]].concat();
    bomb.extend([0xbe; 2000]);
    let bomb = frame(1, 5, 1, &bomb);
    // Streams that are opened and reset at once.
    let ask = [0x82, 0x87, 0x84, 0x41, 0x0f];
    let ask = [&ask[..], HOST.as_bytes()].concat();
    let reset = (0..2000_u32).flat_map(|n| {
        let open = frame(1, 5, 2 * n + 1, &ask);
        [open, frame(3, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()
    });
    let reset: Vec<u8> = reset.collect();
    for (name, flood) in [("continuation", continuation), ("reset", reset)] {
        let stream = scene.dial(HOST, 443);
        let roots = scene.sandbox.roots();
        let mut stream = tls(stream, HOST, roots, Version::HTTP_2).await.unwrap();
        stream.write_all(&begin).await.unwrap();
        // It may be cut before all of it is sent.
        drop(stream.write_all(&flood).await);
        let mut answer = Vec::new();
        drop(patiently(stream.read_to_end(&mut answer)).await);
        let kinds = frames(&answer);
        assert!(
            kinds.contains(&GOAWAY) || kinds.is_empty(),
            "{name}: {kinds:?}"
        );
    }
    // Too large a list is an answer on its stream, and costs no more than the limit.
    let stream = scene.dial(HOST, 443);
    let roots = scene.sandbox.roots();
    let mut stream = tls(stream, HOST, roots, Version::HTTP_2).await.unwrap();
    stream
        .write_all(&[begin.clone(), bomb].concat())
        .await
        .unwrap();
    let mut answer = vec![0; 4096];
    let length = patiently(stream.read(&mut answer)).await.unwrap();
    assert!(length > 0);
    let mut client = Client::https(&scene.sandbox, HOST, Version::HTTP_2).await;
    let url = format!("https://{HOST}/v1/echo");
    let answer = client.ask("GET", &url, scene.sandbox.placeholder()).await;
    assert_eq!(answer.status, 200, "others are served");
}

fn frames(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while let [a, b, c, kind, ..] = bytes {
        kinds.push(*kind);
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_told_so() {
    let scene = scene().await;
    let address = (scene.sandbox.lookup(HOST), 443).into();
    let mut open: Vec<TcpStream> = (0..BROKER_CONNECTIONS_PER_SANDBOX_MAX)
        .map(|_| scene.sandbox.connect(address))
        .collect();
    let url = format!("https://{HOST}/v1/echo");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut client = Client::https(&scene.sandbox, HOST, version).await;
        let answer = client.ask("GET", &url, scene.sandbox.placeholder()).await;
        let code = answer.code();
        assert_eq!(
            (answer.status, code.as_str()),
            (429, "EGRESS_TOO_MANY_REQUESTS")
        );
        if version == Version::HTTP_11 {
            assert_eq!(answer.headers["connection"], "close");
        }
    }
    scene.has("EGRESS_TOO_MANY_REQUESTS").await;
    assert!(scene.provider.seen().is_empty());
    open.truncate(BROKER_CONNECTIONS_PER_SANDBOX_MAX / 2);
    let served = async {
        loop {
            let mut client = Client::https(&scene.sandbox, HOST, Version::HTTP_11).await;
            let answer = client.ask("GET", &url, scene.sandbox.placeholder()).await;
            if answer.status == 200 {
                break;
            }
        }
    };
    patiently(served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_an_end_are_bounded_over_all_connections() {
    let scene = scene().await;
    let url = format!("https://{HOST}/v1/events");
    let ask = || request("GET", &url, "").body(body("")).unwrap();
    let mut clients = Vec::new();
    let mut open = Vec::new();
    // More than there is room for: one that came while another had the last place was refused.
    for _ in 0..=BROKER_REQUESTS_PER_SANDBOX_MAX / BROKER_STREAMS_MAX as usize {
        let Client::Http2(mut sender) = Client::https(&scene.sandbox, HOST, Version::HTTP_2).await
        else {
            unreachable!()
        };
        for _ in 0..BROKER_STREAMS_MAX {
            sender.ready().await.unwrap();
            open.push(tokio::spawn(sender.send_request(ask())));
        }
        clients.push(sender);
    }
    let mut another = Client::https(&scene.sandbox, HOST, Version::HTTP_2).await;
    // Refused for another reason as long as there is room, and no provider has to answer.
    let url = format!("https://{HOST}/v1/echo");
    let refused =
        async { while another.ask("GET", &url, "").await.code() != "EGRESS_TOO_MANY_REQUESTS" {} };
    patiently(refused).await;
    for request in &open {
        request.abort();
    }
    drop(clients);
    let refused_otherwise = async {
        while another.ask("GET", &url, "").await.code() != "EGRESS_CREDENTIAL_REQUIRED" {}
    };
    patiently(refused_otherwise).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn row_090_guesses_without_end_are_stopped() {
    let scene = scene().await;
    let mut client = Client::https(&scene.sandbox, HOST, Version::HTTP_2).await;
    let url = format!("https://{HOST}/v1/echo");
    let guess = format!("miosa-tok-{}", "0".repeat(48));
    let mut codes = Vec::new();
    for _ in 0..=GUESSES_AT_ONCE_MAX + 5 {
        codes.push(client.ask("GET", &url, &guess).await.code());
    }
    assert_eq!(codes[0], "EGRESS_PLACEHOLDER_UNKNOWN");
    let last = codes.last().unwrap();
    assert_eq!(last, "EGRESS_TOO_MANY_REQUESTS");
    let other = client
        .ask("GET", &format!("https://{HOST}/other"), "")
        .await;
    assert_eq!(other.status, 200, "what carries no placeholder passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_035_038_odd_look_ups_are_written_down() {
    use hickory_proto::rr::RecordType;
    let scene = scene().await;
    assert!(
        scene
            .sandbox
            .ask("a.example.com", RecordType::TXT)
            .answers
            .is_empty()
    );
    scene.sandbox.ask("printer.local", RecordType::A);
    let is_dns = |event: &&AuditEvent| event.transport == "dns";
    let events = scene
        .world
        .audit(|e| e.iter().filter(is_dns).count() == 2)
        .await;
    let hosts: Vec<_> = events
        .iter()
        .filter(is_dns)
        .map(|e| (e.host.as_str(), e.action.as_str()))
        .collect();
    assert_eq!(
        hosts,
        [("a.example.com", "reject"), ("printer.local", "reject")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_067_101_interim_answers_end_at_the_broker() {
    let authority = Authority::new();
    let mut config = (*authority.server(HOST)).clone();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.77:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let provider = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let mut stream = acceptor.accept(stream).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains(CANARY), "{head}");
        let interim = format!("HTTP/1.1 103 Early Hints\r\nlink: <{CANARY}>\r\n\r\n");
        let answer = format!(
            "{0}{0}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
            interim
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let world = World::start(&authority, &[(HOST, address)]).await;
    let policy = audit_only(vec![world.binding(HOST, "/v1/echo")]);
    let sandbox = world.sandbox("s", policy).await;
    let stream = sandbox.connect((sandbox.lookup(HOST), 443).into());
    let mut stream = tls(stream, HOST, sandbox.roots(), Version::HTTP_11)
        .await
        .unwrap();
    let token = sandbox.placeholder();
    let head = format!(
        "GET /v1/echo HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(patiently(stream.read_to_end(&mut answer)).await);
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nok"),
        "{answer}"
    );
    assert!(!answer.contains(CANARY), "{answer}");
    patiently(provider).await.unwrap();
}
