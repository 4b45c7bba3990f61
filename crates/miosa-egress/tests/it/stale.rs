//! A provider that closes a kept connection just when it is used again.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
