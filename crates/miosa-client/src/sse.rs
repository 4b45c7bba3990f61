//! Server-sent events: the stream of an answer, event by event.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::Response;
use serde::de::DeserializeOwned;

use crate::ClientError;
use crate::call::bare;

/// Bytes of one event before the stream is given up.
const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its type; `message` when the server named none.
    pub kind: String,
    /// Its data, lines joined by newlines.
    pub data: String,
    /// Its id, if any.
    pub id: Option<String>,
}

impl SseEvent {
    /// Reads its data as JSON.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] when the data has another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.data).map_err(ClientError::protocol)
    }
}

/// Events as they arrive. Dropping it closes the connection.
pub struct EventStream {
    url: String,
    chunks: BoxStream<'static, reqwest::Result<Bytes>>,
    parser: Parser,
}

impl EventStream {
    pub(crate) fn new(response: Response) -> Self {
        Self {
            url: bare(&response),
            chunks: response.bytes_stream().boxed(),
            parser: Parser::default(),
        }
    }

    /// The next event; `None` when the server has closed the stream.
    ///
    /// # Errors
    /// [`ClientError::Network`] when the connection breaks.
    pub async fn next(&mut self) -> Result<Option<SseEvent>, ClientError> {
        loop {
            if let Some(event) = self.parser.take() {
                return Ok(Some(event));
            }
            match self.chunks.next().await {
                None => return Ok(None),
                Some(Ok(chunk)) => self.parser.push(&chunk)?,
                Some(Err(source)) => {
                    return Err(ClientError::Network {
                        url: self.url.clone(),
                        source: source.without_url(),
                    });
                }
            }
        }
    }
}

/// Bytes in, events out; a chunk may end anywhere, even within a character.
#[derive(Default)]
struct Parser {
    buffer: BytesMut,
    event: SseEvent,
    has_data: bool,
}

impl Parser {
    fn push(&mut self, chunk: &[u8]) -> Result<(), ClientError> {
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() + self.event.data.len() > EVENT_BYTES_MAX {
            return Err(ClientError::protocol("an event is too long"));
        }
        Ok(())
    }

    fn take(&mut self) -> Option<SseEvent> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line = self.buffer.split_to(end + 1);
            let line = String::from_utf8_lossy(&line[..end]);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if let Some(event) = self.line(line) {
                return Some(event);
            }
        }
        None
    }

    fn line(&mut self, line: &str) -> Option<SseEvent> {
        if line.is_empty() {
            let mut event = std::mem::take(&mut self.event);
            if !std::mem::take(&mut self.has_data) {
                return None;
            }
            if event.kind.is_empty() {
                "message".clone_into(&mut event.kind);
            }
            return Some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.kind),
            "id" => self.event.id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Parser, SseEvent};

    fn parse(chunks: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk).unwrap();
            while let Some(event) = parser.take() {
                events.push(event);
            }
        }
        events
    }

    #[test]
    fn events_are_the_same_wherever_chunks_end() {
        let text = ": hello\n\nevent: stdout\nid: 7\ndata: {\"line\":\"ä\"}\n\ndata: a\r\ndata: b\r\n\r\ndata: cut".as_bytes();
        let whole = parse(&[text]);
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[0].kind, "stdout");
        assert_eq!(whole[0].id.as_deref(), Some("7"));
        assert_eq!(whole[0].data, "{\"line\":\"ä\"}");
        assert_eq!(
            (whole[1].kind.as_str(), whole[1].data.as_str()),
            ("message", "a\nb")
        );
        for cut in 0..text.len() {
            assert_eq!(parse(&[&text[..cut], &text[cut..]]), whole, "cut at {cut}");
        }
    }
}
