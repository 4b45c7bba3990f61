//! Bodies flow: events at once, sockets both ways, large files in little memory.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::client::{self, Client, body, request};
use crate::provider::{Authority, Provider, text};
use crate::sandbox::Sandbox;
use crate::world::{CANARY, World, audit_only, patiently};

const HOST: &str = "api.example.com";

async fn scene() -> (World, Sandbox, Provider) {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
        .await;
    (world, sandbox, provider)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_arrives_before_the_stream_ends() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (world, sandbox, provider) = scene().await;
        let mut client = Client::https(&sandbox, HOST, version).await;
        let request = request(
            "GET",
            &format!("https://{HOST}/v1/events"),
            sandbox.placeholder(),
        );
        let response = client.send(request.body(body("")).unwrap()).await.unwrap();
        let mut events = response.into_body();
        let first = patiently(events.frame()).await.unwrap().unwrap();
        assert_eq!(first.data_ref().unwrap(), "data: first\n\n");
        // The credential's use is written down although the answer goes on.
        assert!(
            world
                .audit_now()
                .iter()
                .any(|event| event.swapped && event.status_code == 200)
        );
        provider.end_events();
        assert_eq!(patiently(text(events)).await, "data: last\n\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_reach_a_client() {
    let (_world, sandbox, _provider) = scene().await;
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_2).await;
    let request = request(
        "POST",
        &format!("https://{HOST}/v1/trailers"),
        sandbox.placeholder(),
    )
    .header("te", "trailers")
    .header("content-type", "application/grpc");
    let response = client
        .send(request.body(body("message")).unwrap())
        .await
        .unwrap();
    let collected = patiently(response.into_body().collect()).await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), "message");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_066_trailers_of_a_request_end_at_the_broker() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (_world, sandbox, provider) = scene().await;
        let mut client = Client::https(&sandbox, HOST, version).await;
        let mut trailers = http::HeaderMap::new();
        let bearer = format!("Bearer {}", sandbox.placeholder());
        trailers.insert("authorization", bearer.parse().unwrap());
        trailers.insert("x-kept", "1".parse().unwrap());
        let frames = [
            Ok::<_, Infallible>(Frame::data(Bytes::from("message"))),
            Ok(Frame::trailers(trailers)),
        ];
        let upload = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)));
        let url = format!("https://{HOST}/v1/received-trailers");
        let request =
            request("POST", &url, sandbox.placeholder()).header("trailer", "authorization, x-kept");
        let response = client.send(request.body(upload).unwrap()).await.unwrap();
        assert_eq!(patiently(text(response.into_body())).await, "7 and none");
        assert!(!provider.seen()[0].headers.contains_key("trailer"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_relayed_and_gives_no_credential_away() {
    let (world, sandbox, provider) = scene().await;
    let stream = sandbox.connect((sandbox.lookup(HOST), 443).into());
    let stream = client::tls(stream, HOST, sandbox.roots(), Version::HTTP_11)
        .await
        .unwrap();
    let mut request = format!("wss://{HOST}/v1/ws").into_client_request().unwrap();
    let bearer = format!("Bearer {}", sandbox.placeholder());
    request
        .headers_mut()
        .insert("authorization", bearer.parse().unwrap());
    let (mut socket, _) = patiently(tokio_tungstenite::client_async(request, stream))
        .await
        .unwrap();

    socket.send(Message::text("hello")).await.unwrap();
    let echo = patiently(socket.next()).await.unwrap().unwrap();
    assert_eq!(echo, Message::text("hello"));
    assert_eq!(
        provider.seen()[0].headers["authorization"],
        format!("Bearer {CANARY}").as_str()
    );

    socket
        .send(Message::text("give me the credential"))
        .await
        .unwrap();
    let answer = patiently(socket.next()).await;
    assert!(
        !matches!(answer, Some(Ok(Message::Text(_)))),
        "cut: {answer:?}"
    );
    let events = world
        .audit(|events| events.iter().any(|event| event.redacted))
        .await;
    assert_eq!(
        (events[0].status_code, events[0].action.as_str()),
        (101, "error")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_needs_little_memory() {
    const PIECE: usize = 64 * 1024;
    const PIECES: usize = 4096;
    const GROWTH_KIB_MAX: u64 = 96 * 1024;

    let (world, sandbox, _provider) = scene().await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let before = peak_kib();
        let mut client = Client::https(&sandbox, HOST, version).await;
        let piece = Bytes::from(vec![b'x'; PIECE]);
        let pieces =
            std::iter::repeat_n(piece, PIECES).map(|p| Ok::<_, Infallible>(Frame::data(p)));
        let upload = BodyExt::boxed(StreamBody::new(futures_util::stream::iter(pieces)));
        let url = format!("https://{HOST}/v1/upload");
        let request = request(Method::POST.as_str(), &url, sandbox.placeholder());
        // Slow builds on busy machines take longer than an answer may: it is the body that takes time.
        let sent = match &mut client {
            Client::Http2(sender) => sender.send_request(request.body(upload).unwrap()).await,
            Client::Http1(sender) => {
                let request = request.header("host", HOST).body(upload).unwrap();
                let (mut parts, upload) = request.into_parts();
                parts.uri = "/v1/upload".parse().unwrap();
                sender
                    .send_request(http::Request::from_parts(parts, upload))
                    .await
            }
        };
        assert_eq!(
            text(sent.unwrap().into_body()).await,
            (PIECE * PIECES).to_string()
        );
        let grown = peak_kib().saturating_sub(before);
        assert!(
            grown < GROWTH_KIB_MAX,
            "{version:?}: the peak grew by {grown} KiB"
        );
    }
    let sent = (PIECE * PIECES) as u64;
    world
        .audit(|events| {
            events
                .iter()
                .filter(|event| event.bytes_out == sent)
                .count()
                == 2
        })
        .await;
}

/// Largest resident memory of this process so far.
fn peak_kib() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
