//! A provider that closes a kept connection just when it is used again.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::client::Client;
use crate::provider::Authority;
use crate::world::{World, audit_only, patiently};

const HOST: &str = "files.example.com";

/// Reads a head; none at the end of the stream.
async fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(head)
}

/// Answers the first request of each connection, and closes at the second without a word.
async fn serve(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            read_head(&mut stream).await?;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
            stream.write_all(answer).await.ok()?;
            read_head(&mut stream).await
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_met_a_closing_connection_is_sent_once_more() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.77:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener));
    let world = World::start(&authority, &[(HOST, address)]).await;
    let sandbox = world.sandbox("s", audit_only(Vec::new())).await;
    let mut client = Client::http(&sandbox, HOST).await;
    let url = format!("http://{HOST}/");
    for _ in 0..3 {
        let answer = patiently(client.ask("GET", &url, "")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "hello"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_not_sent_again_under_a_policy_that_is_gone() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.77:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (met, meets) = oneshot::channel();
    let (go, goes) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        stream.write_all(answer).await.unwrap();
        read_head(&mut stream).await.unwrap();
        met.send(()).unwrap();
        goes.await.unwrap();
        drop(stream);
        serve(listener).await;
    });
    let world = World::start(&authority, &[(HOST, address)]).await;
    let sandbox = world.sandbox("s", audit_only(Vec::new())).await;
    let mut client = Client::http(&sandbox, HOST).await;
    let url = format!("http://{HOST}/");
    assert_eq!(patiently(client.ask("GET", &url, "")).await.status, 200);
    let change = async {
        patiently(meets).await.unwrap();
        let mut policy = sandbox.policy.clone();
        policy.generation = 2;
        world.put("s", &policy).await.unwrap();
        go.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(client.ask("GET", &url, ""), change);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "EGRESS_UPSTREAM_PROTOCOL")
    );
}
