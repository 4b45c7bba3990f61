//! Ports: the list, and connections to them.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use miosa_api::guest::{Port, RAW_UPGRADE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::agent::Agent;

impl Agent {
    async fn connect(&self, port: u16) -> hyper::Response<hyper::body::Incoming> {
        let uri = format!("/v1/ports/{port}/connect");
        let request = Request::get(uri).header("host", "guest");
        let request = request
            .header("connection", "upgrade")
            .header("upgrade", RAW_UPGRADE);
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        self.connection()
            .await
            .send_request(request)
            .await
            .expect("an answer")
    }
}

/// A port that nobody listens on.
async fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    listener.local_addr().expect("bound").port()
}

async fn relays(address: &str) {
    let agent = Agent::start();
    let listener = TcpListener::bind((address, 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let upper = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let mut asked = Vec::new();
        // Answers only after the caller's end was passed on.
        stream.read_to_end(&mut asked).await.expect("an end");
        asked.make_ascii_uppercase();
        stream.write_all(&asked).await.expect("taken");
    });
    let answer = agent.connect(port).await;
    assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.expect("upgraded"));
    let sent = "text ".repeat(200_000);
    stream.write_all(sent.as_bytes()).await.expect("taken");
    stream.shutdown().await.expect("half closed");
    let mut received = String::new();
    stream.read_to_string(&mut received).await.expect("an end");
    assert!(
        received == sent.to_uppercase(),
        "{} of {} bytes",
        received.len(),
        sent.len()
    );
    upper.await.expect("served");
}

#[tokio::test]
async fn a_connection_is_relayed_and_each_side_ends_by_itself() {
    relays("127.0.0.1").await;
}

#[tokio::test]
async fn what_listens_on_ipv6_alone_is_reached() {
    relays("::1").await;
}

#[tokio::test]
async fn where_nobody_listens_the_answer_says_so() {
    let agent = Agent::start();
    let port = free_port().await;
    let answer = agent.connect(port).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let bad = agent.get(&format!("/v1/ports/{port}/connect")).await;
    assert_eq!(bad.code(), (400, "BAD_REQUEST".into()));
    let bad = agent.get("/v1/ports/70000/connect").await;
    assert_eq!(bad.code(), (400, "BAD_REQUEST".into()));
}

#[tokio::test]
async fn listening_sockets_are_listed_with_their_process() {
    let agent = Agent::start();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let six = TcpListener::bind(("::1", 0)).await.expect("a port");
    let six = six
        .local_addr()
        .map(|address| (six, address.port()))
        .expect("bound");
    let ports: Vec<Port> = agent.get("/v1/ports").await.json();
    let find = |port| {
        ports
            .iter()
            .find(|found| found.port == port)
            .expect("listed")
    };
    let found = find(port);
    assert_eq!(
        (found.protocol.as_str(), found.state.as_str()),
        ("tcp", "LISTEN")
    );
    assert_eq!(found.address, "127.0.0.1");
    let process = found.process.as_ref().expect("visible");
    assert_eq!(process.pid.cast_unsigned(), std::process::id());
    assert!(!process.name.is_empty());
    assert_eq!(find(six.1).address, "::1");
    drop(listener);
    let ports: Vec<Port> = agent.get("/v1/ports").await.json();
    assert!(ports.iter().all(|found| found.port != port));
}
