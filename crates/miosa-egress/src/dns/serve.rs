//! DNS over the sandbox's UDP and TCP sockets.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::Asker;
use crate::accept::pause_after;

/// Largest question; the answer is hardly larger.
const QUESTION_BYTES_MAX: usize = 4096;
/// How long a DNS connection may be idle.
const TCP_IDLE_MAX: Duration = Duration::from_secs(10);

/// Answers datagrams until the socket fails.
pub async fn serve_udp(socket: &UdpSocket, asker: &Asker) -> io::Result<()> {
    let mut buffer = [0; QUESTION_BYTES_MAX];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An earlier answer found its asker gone.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                pause_after(&error).await?;
                continue;
            }
        };
        if let Some(bytes) = asker.answer(&buffer[..length])
            && let Err(error) = socket.send_to(&bytes, from).await
        {
            tracing::debug!(%error, "a DNS answer was not delivered");
        }
    }
}

/// Answers the questions of one connection.
pub async fn serve_tcp(mut stream: TcpStream, asker: &Asker) -> io::Result<()> {
    let mut buffer = [0; QUESTION_BYTES_MAX];
    loop {
        let question = async {
            let length = usize::from(stream.read_u16().await?);
            let Some(question) = buffer.get_mut(..length) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            stream.read_exact(question).await
        };
        let length = match timeout(TCP_IDLE_MAX, question).await {
            Ok(Ok(length)) => length,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(()),
        };
        let Some(bytes) = asker.answer(&buffer[..length]) else {
            return Ok(());
        };
        let mut framed = Vec::with_capacity(2 + bytes.len());
        framed.extend_from_slice(&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
        framed.extend_from_slice(&bytes);
        stream.write_all(&framed).await?;
    }
}
