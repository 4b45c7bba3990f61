//! The inside of a sandbox: a guest agent that relays ports, and an application on one of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::StreamExt;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Notify;

pub struct Inside {
    pub port: u16,
    /// Lets the second event of `/events` go.
    pub go_on: Arc<Notify>,
}

/// Serves an application on a free port and the guest agent on the sandbox's socket.
pub async fn start(folder: PathBuf) -> Inside {
    fs_err::create_dir_all(&folder).unwrap();
    let go_on = Arc::new(Notify::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let application = Router::new()
        .route("/echo", any(echo))
        .route("/ws", get(websocket))
        .route("/events", get(events))
        .route("/upload", post(upload))
        .route("/cookies", get(cookies))
        .with_state(go_on.clone());
    tokio::spawn(async move { axum::serve(listener, application).await });
    let guest = Router::new().route("/v1/ports/{port}/connect", get(connect));
    let socket = UnixListener::bind(folder.join("guest.sock")).unwrap();
    tokio::spawn(async move { axum::serve(socket, guest).await });
    Inside { port, go_on }
}

async fn connect(Path(port): Path<u16>, mut request: Request) -> Response {
    let Ok(mut application) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await
    else {
        let body = r#"{"error":{"code":"PREVIEW_NOT_LISTENING","message":"nothing listens"}}"#;
        return (StatusCode::BAD_GATEWAY, body).into_response();
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut host = TokioIo::new(upgraded.await.unwrap());
        let _ = tokio::io::copy_bidirectional(&mut host, &mut application).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "miosa-raw")
        .body(Body::empty())
        .unwrap()
}

/// Everything the application was told.
async fn echo(request: Request) -> String {
    let (parts, _) = request.into_parts();
    let mut text = format!("{} {}\n", parts.method, parts.uri);
    for (name, value) in &parts.headers {
        text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
    }
    text
}

async fn websocket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            socket
                .send(Message::Text(format!("got {text}").into()))
                .await
                .unwrap();
        }
    })
}

async fn events(State(go_on): State<Arc<Notify>>) -> Response {
    let stream = async_stream::stream! {
        yield Ok::<_, std::convert::Infallible>("data: one\n\n");
        go_on.notified().await;
        yield Ok("data: two\n\n");
    };
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(stream.boxed()),
    )
        .into_response()
}

async fn upload(request: Request) -> String {
    let mut body = request.into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.unwrap().data_ref().map_or(0, bytes::Bytes::len);
    }
    bytes.to_string()
}

async fn cookies() -> Response {
    [(header::SET_COOKIE, "own=1; Domain=localhost; Path=/")].into_response()
}
