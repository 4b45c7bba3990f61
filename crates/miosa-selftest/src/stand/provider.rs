//! A provider that writes down every byte of a request and answers as the request's `x-do` header says.
//!
//! It parses HTTP/1.1 by hand, so that what it writes down is what came over the wire, and so that it can
//! answer in ways no library would.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::authority::Authority;
use super::tls::{self, Server};
use super::{Log, Seen, answers, aws};

/// Longest head that is taken.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a body that are written down; the rest is counted.
const BODY_BYTES_KEPT: usize = 64 * 1024;

/// Server of what is written down when a caller leaves an answer before its end.
pub const BROKEN_OFF: &str = "broken off";

/// One request.
pub struct Asked {
    /// Server that got it.
    pub server: &'static str,
    /// Request line and headers.
    pub head: String,
    /// Bytes of its body.
    pub body_len: u64,
    /// The body's beginning.
    pub body: Vec<u8>,
    /// What came with a body in chunks besides it: extensions, trailers.
    pub beside: Vec<String>,
}

type Wire = TlsStream<TcpStream>;

/// Starts one for these hosts; with `keys`, one that answers 403 to what was not signed with them.
pub async fn start(
    authority: &Authority,
    hosts: &[&str],
    server: &'static str,
    log: &Log,
    folder: &Path,
    keys: Option<Arc<aws::Keys>>,
) -> Result<Server> {
    let log = log.clone();
    let folder: Arc<Path> = folder.into();
    let connections = Arc::new(AtomicU64::new(0));
    tls::accept(authority.server(hosts, false)?, move |stream| {
        let connection = connections.fetch_add(1, Ordering::Relaxed);
        let (log, folder, keys) = (log.clone(), Arc::clone(&folder), keys.clone());
        async move {
            // A connection that breaks off has been written down as far as it came.
            let log = (&log, connection);
            serve(stream, server, log, &folder, keys.as_deref())
                .await
                .ok();
        }
    })
    .await
}

async fn serve(
    mut wire: Wire,
    server: &'static str,
    (log, connection): (&Log, u64),
    folder: &Path,
    keys: Option<&aws::Keys>,
) -> Result<()> {
    let mut buffer = Vec::new();
    while let Some(head) = read_head(&mut wire, &mut buffer).await? {
        let text = String::from_utf8_lossy(&head).into_owned();
        let expects = header(&text, "expect").is_some();
        let logged = log.push(Seen {
            server,
            head,
            body: Vec::new(),
            connection,
        });
        if expects {
            wire.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            wire.flush().await?;
        }
        let mut beside = Vec::new();
        let (body, body_len) = read_body(&mut wire, &mut buffer, &text, &mut beside).await?;
        log.set_body(logged, &body);
        let asked = Asked {
            server,
            head: text,
            body_len,
            body,
            beside,
        };
        let answered = match keys.map(|keys| keys.verify(&asked)) {
            Some(Err(why)) => answers::forbidden(&mut wire, why).await,
            _ => answers::answer(&mut wire, &asked, folder).await,
        };
        if answered.is_err() {
            log.push(Seen {
                server: BROKEN_OFF,
                head: Vec::new(),
                body: Vec::new(),
                connection,
            });
        }
        if !answered? {
            wire.shutdown().await?;
            return Ok(());
        }
    }
    Ok(())
}

/// A header's value.
#[must_use]
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

async fn read_head(wire: &mut Wire, buffer: &mut Vec<u8>) -> Result<Option<Vec<u8>>> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            return Ok(Some(std::mem::replace(buffer, rest)));
        }
        if buffer.len() > HEAD_BYTES_MAX {
            bail!("a head without an end");
        }
        if wire.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn read_body(
    wire: &mut Wire,
    buffer: &mut Vec<u8>,
    head: &str,
    beside: &mut Vec<String>,
) -> Result<(Vec<u8>, u64)> {
    if header(head, "transfer-encoding").is_some() {
        return read_chunks(wire, buffer, beside).await;
    }
    let length: u64 = match header(head, "content-length") {
        Some(length) => length.parse().context("content-length")?,
        None => 0,
    };
    let mut kept = Vec::new();
    let mut left = length;
    while left > 0 {
        if buffer.is_empty() && wire.read_buf(buffer).await? == 0 {
            bail!("a body that breaks off");
        }
        let take = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        keep(&mut kept, &buffer[..take]);
        buffer.drain(..take);
        left -= take as u64;
    }
    Ok((kept, length))
}

async fn read_chunks(
    wire: &mut Wire,
    buffer: &mut Vec<u8>,
    beside: &mut Vec<String>,
) -> Result<(Vec<u8>, u64)> {
    let (mut kept, mut total) = (Vec::new(), 0);
    loop {
        let line = read_line(wire, buffer).await?;
        if line.contains(';') {
            beside.push(line.clone());
        }
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).context("a chunk's size")?;
        if size == 0 {
            // Trailers, up to the empty line.
            loop {
                let line = read_line(wire, buffer).await?;
                if line.is_empty() {
                    return Ok((kept, total));
                }
                beside.push(line);
            }
        }
        while buffer.len() < size + 2 {
            if wire.read_buf(buffer).await? == 0 {
                bail!("a chunk that breaks off");
            }
        }
        keep(&mut kept, &buffer[..size]);
        buffer.drain(..size + 2);
        total += size as u64;
    }
}

async fn read_line(wire: &mut Wire, buffer: &mut Vec<u8>) -> Result<String> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n") {
            let line: Vec<u8> = buffer.drain(..end + 2).collect();
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if wire.read_buf(buffer).await? == 0 {
            bail!("a line that breaks off");
        }
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = BODY_BYTES_KEPT.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
