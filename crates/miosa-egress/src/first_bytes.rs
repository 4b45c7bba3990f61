//! The first bytes of a connection: TLS with its server name, HTTP, or nothing we pass on.
//!
//! Bounded in time and size, whatever the caller sends and however it cuts it: a ClientHello may come
//! byte by byte, over several records, or be as large as post-quantum key shares make it.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use miosa_api::limits::{BROKER_HEAD_BYTES_MAX, CLIENT_HELLO_BYTES_MAX, FIRST_BYTES_TIMEOUT};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;
/// Longest method token we wait for.
const METHOD_BYTES_MAX: usize = 32;

/// What a connection begins with. `bytes` is all that was read so far.
#[derive(Debug)]
pub enum FirstBytes {
    /// A whole ClientHello.
    Tls {
        /// Its server name, lower case.
        server_name: Option<String>,
        /// Everything read.
        bytes: BytesMut,
    },
    /// An HTTP/1 request line.
    Http {
        /// Everything read.
        bytes: BytesMut,
    },
    /// Anything else, or not in time, or too much.
    Other,
    /// The caller left without a word.
    Nothing,
}

/// Reads until it is known what the connection speaks.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<FirstBytes> {
    read_within(stream, FIRST_BYTES_TIMEOUT).await
}

async fn read_within(
    stream: &mut (impl AsyncRead + Unpin),
    limit: Duration,
) -> io::Result<FirstBytes> {
    let mut bytes = BytesMut::with_capacity(4096);
    let known = tokio::time::timeout(limit, read_on(stream, &mut bytes)).await;
    match known {
        Ok(Ok(Some(Spoken::Tls(server_name)))) => Ok(FirstBytes::Tls { server_name, bytes }),
        Ok(Ok(Some(Spoken::Http))) => Ok(FirstBytes::Http { bytes }),
        Ok(Ok(None)) if bytes.is_empty() => Ok(FirstBytes::Nothing),
        Ok(Ok(None)) | Err(_) => Ok(FirstBytes::Other),
        Ok(Err(error)) => Err(error),
    }
}

enum Spoken {
    Tls(Option<String>),
    Http,
}

async fn read_on(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut BytesMut,
) -> io::Result<Option<Spoken>> {
    let mut acceptor = Acceptor::default();
    loop {
        let before = bytes.len();
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
        let state = if bytes[0] == TLS_HANDSHAKE {
            hello(&mut acceptor, &bytes[before..], bytes.len())
        } else {
            request_line(bytes)
        };
        match state {
            State::Known(spoken) => return Ok(Some(spoken)),
            State::More => {}
            State::Never => return Ok(None),
        }
    }
}

enum State {
    Known(Spoken),
    More,
    Never,
}

fn hello(acceptor: &mut Acceptor, mut fresh: &[u8], total: usize) -> State {
    while !fresh.is_empty() {
        match acceptor.read_tls(&mut fresh) {
            Ok(0) | Err(_) => return State::Never,
            Ok(_) => {}
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let name = accepted
                    .client_hello()
                    .server_name()
                    .map(str::to_ascii_lowercase);
                return State::Known(Spoken::Tls(name));
            }
            Ok(None) => {}
            Err(_) => return State::Never,
        }
    }
    if total > CLIENT_HELLO_BYTES_MAX {
        State::Never
    } else {
        State::More
    }
}

fn request_line(bytes: &[u8]) -> State {
    let method = bytes
        .iter()
        .position(|byte| !byte.is_ascii_alphabetic() && *byte != b'-');
    match method {
        None if bytes.len() > METHOD_BYTES_MAX => return State::Never,
        None => return State::More,
        Some(end) if end == 0 || end > METHOD_BYTES_MAX || bytes[end] != b' ' => {
            return State::Never;
        }
        Some(_) => {}
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() > BROKER_HEAD_BYTES_MAX {
            State::Never
        } else {
            State::More
        };
    };
    let line = bytes[..end].trim_ascii_end();
    if line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0") {
        State::Known(Spoken::Http)
    } else {
        State::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(chunks: &[&[u8]]) -> FirstBytes {
        let mut mock = in_pieces(chunks);
        read(&mut mock).await.expect("no error")
    }

    fn in_pieces<'a>(chunks: &[&'a [u8]]) -> Box<dyn AsyncRead + Unpin + 'a> {
        chunks.iter().rev().fold(
            Box::new(tokio::io::empty()) as Box<dyn AsyncRead + Unpin + 'a>,
            |rest, chunk| Box::new(chunk.chain(rest)),
        )
    }

    fn client_hello(name: &'static str) -> Vec<u8> {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = name.try_into().expect("a name");
        let mut client = rustls::ClientConnection::new(config.into(), name).expect("a client");
        let mut hello = Vec::new();
        client.write_tls(&mut hello).expect("a hello");
        hello
    }

    #[tokio::test]
    async fn a_hello_is_found_however_it_is_cut() {
        let hello = client_hello("Api.Example.com");
        for size in [1, 7, 500, hello.len()] {
            let chunks: Vec<&[u8]> = hello.chunks(size).collect();
            let FirstBytes::Tls { server_name, bytes } = read_all(&chunks).await else {
                panic!("not TLS in pieces of {size}")
            };
            assert_eq!(server_name.as_deref(), Some("api.example.com"));
            assert_eq!(bytes, hello);
        }
    }

    #[tokio::test]
    async fn http_is_known_by_its_first_line() {
        let first = read_all(&[b"GE", b"T / HT", b"TP/1.1\r\nhost: a\r\n"]).await;
        assert!(matches!(first, FirstBytes::Http { .. }));
    }

    #[tokio::test]
    async fn anything_else_is_neither() {
        let long_name = [b'A'; 100];
        for noise in [
            b"SSH-2.0-x\r\n".as_slice(),
            b"\0\0\0",
            b"PRI * HTTP/2.0\r\n",
            b"\x16\x03",
            &long_name,
        ] {
            assert!(
                matches!(read_all(&[noise]).await, FirstBytes::Other),
                "{noise:?}"
            );
        }
        assert!(matches!(read_all(&[]).await, FirstBytes::Nothing));
    }

    #[tokio::test]
    async fn silence_ends() {
        let (mut stream, _other) = tokio::io::duplex(64);
        let first = read_within(&mut stream, Duration::from_millis(1)).await;
        assert!(matches!(first.expect("no error"), FirstBytes::Other));
    }
}
