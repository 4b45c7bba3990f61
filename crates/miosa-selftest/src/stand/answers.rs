//! The ways in which the local provider answers: plainly, or as a careless or hostile one would.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::json;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::provider::{Asked, header};
use super::{git, mcp};

/// Pause between two writes that must not become one.
const BETWEEN_WRITES: Duration = Duration::from_millis(2);
/// Pause in a stream that never ends.
const DRIP_EVERY: Duration = Duration::from_millis(50);
/// How long a stream of events stays open.
const STREAM_OPEN: Duration = Duration::from_secs(20);

/// What a provider was left with that keeps what it is sent, for another request to read.
static KEPT: Mutex<String> = Mutex::new(String::new());

/// Answers; says whether the connection goes on.
pub async fn answer(
    wire: &mut (impl AsyncWrite + Unpin),
    asked: &Asked,
    folder: &Path,
) -> Result<bool> {
    let wish = header(&asked.head, "x-do").unwrap_or_default();
    let (verb, argument) = wish.split_once(' ').unwrap_or((wish, ""));
    let credential = credential(&asked.head);
    match verb {
        "echo" => whole(wire, "200 OK", &[], asked.head.as_bytes()).await?,
        "echo-error" => {
            let text = format!("{{\"error\":\"invalid key {credential}\"}}");
            whole(wire, "401 Unauthorized", &[], text.as_bytes()).await?;
        }
        "echo-forms" => whole(wire, "200 OK", &[], forms(credential).as_bytes()).await?,
        "echo-header" => whole(wire, "200 OK", &in_headers(credential), b"see the headers").await?,
        "echo-split" => split(wire, credential.as_bytes(), 1).await?,
        "echo-trailer" => trailer(wire, credential).await?,
        "echo-1xx" => {
            let hints = format!("HTTP/1.1 103 Early Hints\r\nlink: <{credential}>\r\n\r\n");
            wire.write_all(hints.repeat(2).as_bytes()).await?;
            whole(wire, "200 OK", &[], b"after the hints").await?;
        }
        "echo-gzip" => {
            let packed = gzip(&asked.head)?;
            whole(
                wire,
                "200 OK",
                &["content-encoding: gzip".to_owned()],
                &packed,
            )
            .await?;
        }
        "echo-gzip-hidden" => whole(wire, "200 OK", &[], &gzip(&asked.head)?).await?,
        "echo-json" => {
            let text = json!({"headers": asked.head, "etag": "x"}).to_string();
            let more = [
                "content-type: application/json",
                "etag: \"1\"",
                "content-md5: AAAAAAAAAAAAAAAAAAAAAA==",
                "digest: sha-256=AA",
            ];
            whole(wire, "200 OK", &more.map(str::to_owned), text.as_bytes()).await?;
        }
        "events" => events(wire, credential).await?,
        "keep" => {
            credential.clone_into(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner));
            whole(wire, "200 OK", &[], b"kept").await?;
        }
        "kept" => {
            let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).clone();
            whole(wire, "200 OK", &[], kept.as_bytes()).await?;
        }
        "redirect" => {
            whole(
                wire,
                "307 Temporary Redirect",
                &[format!("location: {argument}")],
                b"",
            )
            .await?;
        }
        _ => return other(wire, asked, folder).await,
    }
    wire.flush().await?;
    Ok(verb != "echo-close")
}

/// As S3 answers to a signature that is none of its keys'.
pub async fn forbidden(wire: &mut (impl AsyncWrite + Unpin), why: &str) -> Result<bool> {
    let text = format!("<Error><Code>SignatureDoesNotMatch</Code><Message>{why}</Message></Error>");
    whole(wire, "403 Forbidden", &[], text.as_bytes()).await?;
    wire.flush().await?;
    Ok(true)
}

/// The ways that are not about an echo.
async fn other(wire: &mut (impl AsyncWrite + Unpin), asked: &Asked, folder: &Path) -> Result<bool> {
    let wish = header(&asked.head, "x-do").unwrap_or_default();
    let (verb, argument) = wish.split_once(' ').unwrap_or((wish, ""));
    match verb {
        "switch" => {
            let head =
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: raw\r\nconnection: upgrade\r\n\r\n";
            wire.write_all(format!("{head}{}", credential(&asked.head)).as_bytes())
                .await?;
            return Ok(false);
        }
        "alt-svc" => {
            let more = ["alt-svc: h3=\":443\"; ma=3600".to_owned()];
            whole(wire, "200 OK", &more, b"{\"provider\":true}").await?;
        }
        "range" => part(wire, asked).await?,
        "source" => source(wire, argument.parse()?).await?,
        "bytes" => whole(wire, "200 OK", &[], &asked.body).await?,
        "break" => return Ok(false),
        "half" => {
            wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                .await?;
            return Ok(false);
        }
        "drip" => drip(wire).await?,
        "git" => {
            let git = git::answer(asked, folder).await?;
            whole(wire, &git.status, &git.headers, &git.body).await?;
        }
        "mcp" => {
            let (status, headers, body) = mcp::answer(asked, argument);
            whole(wire, status, &headers, body.as_bytes()).await?;
        }
        "garbage" => {
            wire.write_all(b"\x00\x01 no http at all\r\n\r\n").await?;
            return Ok(false);
        }
        "unauthorized" => {
            let more = ["www-authenticate: Bearer resource_metadata=\"https://api.refero.design/.well-known/oauth-protected-resource\"".to_owned()];
            whole(wire, "401 Unauthorized", &more, b"{}").await?;
        }
        _ => whole(wire, "200 OK", &[], plain(asked).as_bytes()).await?,
    }
    wire.flush().await?;
    Ok(true)
}

/// What came, without its credential.
fn plain(asked: &Asked) -> String {
    let line = asked.head.lines().next().unwrap_or_default();
    json!({
        "provider": asked.server,
        "line": line,
        "body_len": asked.body_len,
        "beside": asked.beside,
    })
    .to_string()
}

/// The bare value, out of whichever header has it.
fn credential(head: &str) -> &str {
    let value = header(head, "authorization").or_else(|| header(head, "x-api-key"));
    let value = value.unwrap_or_default();
    value.split_once(' ').map_or(value, |(_, token)| token)
}

async fn whole(
    wire: &mut (impl AsyncWrite + Unpin),
    status: &str,
    more: &[String],
    body: &[u8],
) -> Result<()> {
    let mut head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for line in more {
        write!(head, "{line}\r\n")?;
    }
    head.push_str("\r\n");
    wire.write_all(head.as_bytes()).await?;
    wire.write_all(body).await?;
    Ok(wire.flush().await?)
}

fn in_headers(credential: &str) -> Vec<String> {
    vec![
        format!("x-debug: {credential}"),
        format!("set-cookie: session={credential}; Path=/"),
        format!("location: /next?token={}", percent(credential)),
        format!("www-authenticate: Bearer error=\"{credential}\""),
        format!("link: </a?t={credential}>; rel=next"),
        format!("x-basic: {}", STANDARD.encode(format!("user:{credential}"))),
    ]
}

fn percent(text: &str) -> String {
    let write = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(write).collect()
}

/// The value as encoders and debug pages write it, one form a line.
fn forms(credential: &str) -> String {
    let each = |write: fn(u8) -> String| credential.bytes().map(write).collect::<String>();
    let mut lines = vec![
        credential.to_owned(),
        percent(credential),
        percent(credential)
            .replace("%2B", "%2b")
            .replace("%2F", "%2f"),
        each(|byte| format!("%{byte:02X}")),
        each(|byte| format!("\\u{byte:04x}")),
        credential.replace('/', "\\/"),
        hex::encode(credential),
        hex::encode_upper(credential),
    ];
    for before in ["", "a", "ab", "user:", "x-oauth"] {
        let text = format!("{before}{credential}:z");
        lines.push(STANDARD.encode(&text));
        lines.push(URL_SAFE.encode(&text));
    }
    lines.join("\n")
}

fn gzip(text: &str) -> Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(text.as_bytes())?;
    Ok(packed.finish()?)
}

/// Chunks of `size` bytes, each a write of its own.
async fn split(wire: &mut (impl AsyncWrite + Unpin), body: &[u8], size: usize) -> Result<()> {
    wire.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    for piece in body.chunks(size) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        wire.write_all(&chunk).await?;
        wire.flush().await?;
        tokio::time::sleep(BETWEEN_WRITES).await;
    }
    wire.write_all(b"0\r\n\r\n").await?;
    Ok(())
}

async fn trailer(wire: &mut (impl AsyncWrite + Unpin), credential: &str) -> Result<()> {
    let text = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n4\r\nbody\r\n0\r\nx-sum: {credential}\r\n\r\n"
    );
    Ok(wire.write_all(text.as_bytes()).await?)
}

/// A first event at once, a credential over two events' writes, then nothing while the stream stays open.
async fn events(wire: &mut (impl AsyncWrite + Unpin), credential: &str) -> Result<()> {
    let (one, two) = credential.split_at(credential.len() / 2);
    wire.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )
    .await?;
    for text in [
        "data: first\n\n".to_owned(),
        format!("data: {one}"),
        format!("{two}\n\n"),
        ": beat\n\n".to_owned(),
    ] {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        wire.write_all(chunk.as_bytes()).await?;
        wire.flush().await?;
        tokio::time::sleep(BETWEEN_WRITES).await;
    }
    tokio::time::sleep(STREAM_OPEN).await;
    wire.write_all(b"0\r\n\r\n").await?;
    Ok(())
}

/// A stream that only ends when its reader has gone.
async fn drip(wire: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
    wire.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        .await?;
    loop {
        wire.write_all(b"5\r\ndrip\n\r\n").await?;
        wire.flush().await?;
        tokio::time::sleep(DRIP_EVERY).await;
    }
}

/// As a server with ranges would: the asked-for bytes of an echo.
async fn part(wire: &mut (impl AsyncWrite + Unpin), asked: &Asked) -> Result<()> {
    let body = asked.head.as_bytes();
    let asked_for = header(&asked.head, "range").and_then(|text| {
        let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
        body.get(from.parse().ok()?..=to.parse().ok()?)
    });
    match asked_for {
        Some(piece) => whole(wire, "206 Partial Content", &[], piece).await,
        None => whole(wire, "200 OK", &[], body).await,
    }
}

/// `count` bytes of every value, over and over.
async fn source(wire: &mut (impl AsyncWrite + Unpin), count: usize) -> Result<()> {
    let block: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {count}\r\n\r\n");
    wire.write_all(head.as_bytes()).await?;
    let mut left = count;
    while left > 0 {
        let take = left.min(block.len());
        wire.write_all(&block[..take]).await?;
        left -= take;
    }
    Ok(())
}
