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
        let credential = credential_of(&parts.headers);
        let has_extensions = parts.headers.contains_key("sec-websocket-extensions");
        return upgrade.on_upgrade(move |socket| repeat(socket, credential, has_extensions));
    }
    let text = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let credential = credential_of(&parts.headers);
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
        "grpc-credential" => frames(vec![message(&credential)], Some(trailers("none"))),
        _ => plain(body).await,
    }
}

async fn plain(body: Body) -> Response {
    // A body that breaks off has the length it came with.
    let len = body
        .into_data_stream()
        .fold(0, |sum, piece| async move {
            sum + piece.map_or(0, |data| data.len())
        })
        .await;
    axum::Json(serde_json::json!({"provider": "http2", "body_len": len})).into_response()
}

/// The bare value.
fn credential_of(headers: &HeaderMap) -> String {
    let value = headers
        .get("authorization")
        .or_else(|| headers.get("x-api-key"));
    let value = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value.trim_start_matches("Bearer ").to_owned()
}

/// A gRPC message with one text in it.
fn message(text: &str) -> Bytes {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes();
    [[0].as_slice(), &len, text.as_bytes()].concat().into()
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
    if let Some(authority) = parts.uri.authority() {
        text.push_str(&format!("host: {authority}\r\n"));
    }
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

/// Sends every message back; on the word `credential` that is sent instead, on `extensions` whether any
/// were asked for.
async fn repeat(mut socket: WebSocket, credential: String, has_extensions: bool) {
    while let Some(Ok(message)) = socket.recv().await {
        let back = match &message {
            Message::Close(_) => return,
            Message::Text(text) if text.as_str() == "credential" => {
                Message::Text(credential.clone().into())
            }
            Message::Text(text) if text.as_str() == "extensions" => {
                Message::Text(has_extensions.to_string().into())
            }
            _ => message,
        };
        if socket.send(back).await.is_err() {
            return;
        }
    }
}
