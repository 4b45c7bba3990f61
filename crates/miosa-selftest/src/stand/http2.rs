//! A provider that speaks HTTP/2 and HTTP/1.1: echoes, trailers, gRPC-shaped streams, WebSocket.

use std::convert::Infallible;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;

use super::authority::Authority;
use super::tls::{self, Server};
use super::{Log, Seen};

/// Starts one for these hosts.
pub async fn start(authority: &Authority, hosts: &[&str], log: &Log) -> Result<Server> {
    let router = Router::new().fallback(answer).with_state(log.clone());
    tls::serve(router, authority.server(hosts, true)?).await
}

async fn answer(State(log): State<Log>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let head = written(&parts);
    log.push(Seen {
        server: "http2",
        head: head.clone().into_bytes(),
        body: Vec::new(),
        connection: 0,
    });
    if parts.headers.contains_key(header::UPGRADE)
        && let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await
    {
        return upgrade.on_upgrade(repeat);
    }
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let credential = text("authorization")
        .or_else(|| text("x-api-key"))
        .unwrap_or_default();
    let credential = credential.trim_start_matches("Bearer ").to_owned();
    match text("x-do").unwrap_or_default() {
        "echo" => head.into_response(),
        "echo-frames" => frames(
            credential
                .bytes()
                .map(|byte| Bytes::from(vec![byte]))
                .collect(),
            None,
        ),
        "echo-trailer" => frames(
            vec![Bytes::from_static(b"body")],
            Some(trailers(&credential)),
        ),
        "grpc" => grpc(body, &credential).await,
        _ => axum::Json(serde_json::json!({"provider": "http2"})).into_response(),
    }
}

/// A head as HTTP/1 would write it.
fn written(parts: &http::request::Parts) -> String {
    let mut text = format!(
        "{} {} HTTP/1.1\r\n",
        parts.method,
        parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str())
    );
    for (name, value) in &parts.headers {
        text.push_str(&format!(
            "{name}: {}\r\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    text + "\r\n"
}

fn trailers(credential: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    if let Ok(value) = HeaderValue::from_str(credential) {
        trailers.insert("x-sum", value);
    }
    trailers
}

fn frames(pieces: Vec<Bytes>, trailers: Option<HeaderMap>) -> Response {
    let data = pieces.into_iter().map(Frame::data);
    let all = data
        .chain(trailers.map(Frame::trailers))
        .map(Ok::<_, Infallible>);
    let body = StreamBody::new(stream::iter(all.collect::<Vec<_>>()));
    Response::new(Body::new(body))
}

/// Sends every message back as it comes, then the trailers.
async fn grpc(body: Body, credential: &str) -> Response {
    let back = body.into_data_stream().filter_map(|piece| async {
        piece
            .ok()
            .map(|data| Ok::<_, Infallible>(Frame::data(data)))
    });
    let end = stream::iter([Ok(Frame::trailers(trailers(credential)))]);
    let mut response = Response::new(Body::new(StreamBody::new(back.chain(end)).boxed_unsync()));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    response
}

async fn repeat(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Close(_)) || socket.send(message).await.is_err() {
            return;
        }
    }
}
