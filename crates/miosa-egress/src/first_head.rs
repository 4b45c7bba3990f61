//! The first HTTP/1 head of a connection, looked at byte by byte before the parser sees it.
//!
//! The parser is lenient where the protocol lets it be (a line may end in a bare LF), and answers what it
//! does not take with an empty 400. Here, whatever other parsers could read otherwise is refused in words
//! and written down. Later heads of the connection are the parser's alone: it writes every head anew
//! towards the provider, so that nothing but its own reading goes out.

use std::io;

use bytes::BytesMut;
use miosa_api::broker::RefusalCode;
use miosa_api::limits::{
    BROKER_HEAD_BYTES_MAX, BROKER_HEADERS_MAX, BROKER_IDLE_MAX, FIRST_BYTES_TIMEOUT,
};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// What HTTP/2 without ALPN begins with.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Reads on after `first` until the head is whole. None when the caller left or fell silent.
///
/// # Errors
/// When the stream fails. A head that is not fit is the inner error.
pub async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    first: &[u8],
) -> io::Result<Option<Result<BytesMut, RefusalCode>>> {
    let mut bytes = BytesMut::from(first);
    if bytes.is_empty() {
        match timeout(BROKER_IDLE_MAX, stream.read_buf(&mut bytes)).await {
            Ok(Ok(1..)) => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(0)) | Err(_) => return Ok(None),
        }
    }
    let reading = async {
        let mut from = 0;
        loop {
            let end = end_of_head(&bytes, from);
            if end.unwrap_or(bytes.len()) > BROKER_HEAD_BYTES_MAX {
                return Ok::<_, io::Error>(None);
            }
            if end.is_some() || !may_begin(&bytes) {
                return Ok(Some(end.unwrap_or(bytes.len())));
            }
            from = bytes.len().saturating_sub(3);
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    let end = match timeout(FIRST_BYTES_TIMEOUT, reading).await {
        Ok(Ok(Some(end))) => end,
        Ok(Ok(None)) => return Ok(Some(Err(RefusalCode::HeadTooLarge))),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Ok(Err(error)) => return Err(error),
        Err(_) => return Ok(Some(Err(RefusalCode::MalformedRequest))),
    };
    Ok(Some(check(&bytes[..end]).map(|()| bytes)))
}

/// Whether a request line can begin like this: other protocols (TLS inside TLS) send no end of a head.
fn may_begin(bytes: &[u8]) -> bool {
    let method = memchr::memchr(b' ', bytes).map_or(bytes, |end| &bytes[..end]);
    is_token(method)
}

/// Where the first empty line ends, however lines end.
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr(b'\n', &bytes[at..])? + 1;
        match &bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
}

/// Whether every parser reads this head alike.
fn check(head: &[u8]) -> Result<(), RefusalCode> {
    if head == HTTP2_PREFACE {
        return Ok(());
    }
    let lines = head.strip_suffix(b"\r\n\r\n").and_then(lines);
    let lines = lines.ok_or(RefusalCode::MalformedRequest)?;
    if lines.len() > BROKER_HEADERS_MAX + 1 {
        return Err(RefusalCode::HeadTooLarge);
    }
    let fine = lines
        .split_first()
        .is_some_and(|(first, fields)| is_request_line(first) && are_fields(fields));
    if fine {
        Ok(())
    } else {
        Err(RefusalCode::MalformedRequest)
    }
}

/// Lines that end in CRLF, with no other CR, LF or control byte.
fn lines(head: &[u8]) -> Option<Vec<&[u8]>> {
    let lines: Vec<&[u8]> = head.split(|byte| *byte == b'\n').collect();
    let last = lines.len() - 1;
    let whole = lines.into_iter().enumerate().map(|(index, line)| {
        let line = if index == last {
            Some(line)
        } else {
            line.strip_suffix(b"\r")
        };
        line.filter(|line| {
            line.iter()
                .all(|byte| *byte == b'\t' || !byte.is_ascii_control())
        })
    });
    whole.collect()
}

fn is_request_line(line: &[u8]) -> bool {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let version = words.next().unwrap_or_default();
    is_token(method)
        && is_target(method, target)
        && matches!(version, b"HTTP/1.1" | b"HTTP/1.0")
        && words.next().is_none()
}

/// One of the forms of RFC 9112, 3.2, which has no fragment (row 45); letters of other alphabets, which
/// some clients leave as they are, are UTF-8.
fn is_target(method: &[u8], target: &[u8]) -> bool {
    let is_form = target.starts_with(b"/")
        || target == b"*"
        || method == b"CONNECT"
        || memchr::memmem::find(target, b"://").is_some();
    is_form && !target.contains(&b'\t') && !target.contains(&b'#') && str::from_utf8(target).is_ok()
}

fn are_fields(lines: &[&[u8]]) -> bool {
    let mut lengths = 0;
    let mut encodings = 0;
    for line in lines {
        let Some(colon) = memchr::memchr(b':', line) else {
            return false;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) {
            return false;
        }
        let fine = if name.eq_ignore_ascii_case(b"content-length") {
            lengths += 1;
            !value.is_empty() && value.iter().all(u8::is_ascii_digit)
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            encodings += 1;
            value.eq_ignore_ascii_case(b"chunked")
        } else {
            true
        };
        if !fine {
            return false;
        }
    }
    lengths + encodings <= 1
}

/// A name as RFC 9110 has it: a space in front of the colon, or a folded line, is none.
fn is_token(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(head: &str) -> Result<(), RefusalCode> {
        check(head.as_bytes())
    }

    #[test]
    fn ordinary_heads_pass() {
        for head in [
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST /a?b HTTP/1.0\r\nHost:a\r\ncontent-length: 5\r\nx: \r\n\r\n",
            "PUT / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\nx: a\tb\r\nx: caf\u{e9}\r\n\r\n",
            "GET /caf\u{e9} HTTP/1.1\r\nhost: a\r\n\r\n",
            "GET https://a/b HTTP/1.1\r\nhost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n",
            "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
        ] {
            assert_eq!(checked(head), Ok(()), "{head:?}");
        }
    }

    #[test]
    fn rows_061_062_heads_with_two_readings() {
        for rest in [
            "host: a\nx: y\r\n",
            "host: a\r\nx: y\rz: w\r\n",
            "host : a\r\n",
            " host: a\r\n",
            "host: a\r\n folded\r\n",
            "host: a\0b\r\n",
            ": a\r\n",
            "no colon\r\n",
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: +5\r\n",
            "content-length: 0x5\r\n",
            "content-length: 5, 5\r\n",
            "content-length:\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: xchunked\r\n",
            "transfer-encoding: chunked, identity\r\n",
            "transfer-encoding:\u{b}chunked\r\n",
        ] {
            let head = format!("POST / HTTP/1.1\r\n{rest}\r\n");
            assert_eq!(
                checked(&head),
                Err(RefusalCode::MalformedRequest),
                "{head:?}"
            );
        }
        for line in [
            "GET  / HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET / HTTP/1.1 ",
            "G(T / HTTP/1.1",
            "GET  HTTP/1.1",
            "GET a HTTP/1.1",
            "GET \\a HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET https://a/b#c HTTP/1.1",
        ] {
            assert!(
                checked(&format!("{line}\r\nhost: a\r\n\r\n")).is_err(),
                "{line:?}"
            );
        }
        assert!(checked("GET / HTTP/1.1\nhost: a\n\n").is_err());
        assert!(check(b"GET /a\xff HTTP/1.1\r\nhost: a\r\n\r\n").is_err());
        let many = "x: y\r\n".repeat(BROKER_HEADERS_MAX + 1);
        let many = checked(&format!("GET / HTTP/1.1\r\n{many}\r\n"));
        assert_eq!(many, Err(RefusalCode::HeadTooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_become_a_head_is_refused_without_waiting_for_its_end() {
        for begin in [&b"\x16\x03\x01\x02\x00"[..], b"\r\n", b"GE\0T", b" GET"] {
            let (mut near, mut far) = tokio::io::duplex(64);
            tokio::io::AsyncWriteExt::write_all(&mut far, begin)
                .await
                .expect("room");
            let start = tokio::time::Instant::now();
            let read = read(&mut near, b"").await.expect("no error");
            assert_eq!(read.expect("bytes"), Err(RefusalCode::MalformedRequest));
            assert!(start.elapsed().is_zero(), "{begin:?}");
        }
    }

    #[tokio::test]
    async fn a_head_is_read_however_it_is_cut() {
        let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nbody";
        for cut in 0..head.len() {
            let (first, mut rest) = head.split_at(cut);
            let read = read(&mut rest, first).await.expect("no error");
            let read = read.expect("a head").expect("fit");
            // Nothing is lost.
            assert_eq!([&read[..], rest].concat(), head, "{cut}");
        }
        let mut nothing = &b""[..];
        assert!(read(&mut nothing, b"").await.expect("no error").is_none());
        let endless = vec![b'a'; BROKER_HEAD_BYTES_MAX + 2];
        let read = read(&mut &endless[..], b"").await.expect("no error");
        assert_eq!(read.expect("too much"), Err(RefusalCode::HeadTooLarge));
    }
}
