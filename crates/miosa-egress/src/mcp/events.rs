//! Server-sent events, one at a time.

use bytes::{Bytes, BytesMut};
use miosa_api::limits::MCP_ANSWER_BYTES_MAX;

/// Takes events out of a stream.
#[derive(Default)]
pub struct Events {
    buffer: BytesMut,
    /// Bytes that were looked at.
    scanned: usize,
    /// Where the last line begins.
    line: usize,
}

/// The stream is over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl Events {
    /// Takes in bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole event, with the empty line that ends it.
    pub fn next_event(&mut self) -> Result<Option<Bytes>, TooLong> {
        while let Some(found) = memchr::memchr(b'\n', &self.buffer[self.scanned..]) {
            let end = self.scanned + found + 1;
            let is_empty = matches!(&self.buffer[self.line..end], b"\n" | b"\r\n");
            (self.scanned, self.line) = (end, end);
            if is_empty {
                (self.scanned, self.line) = (0, 0);
                return Ok(Some(self.buffer.split_to(end).freeze()));
            }
        }
        self.scanned = self.buffer.len();
        if self.buffer.len() > MCP_ANSWER_BYTES_MAX {
            return Err(TooLong);
        }
        Ok(None)
    }

    /// Whether nothing waits for its end.
    pub fn is_clear(&self) -> bool {
        self.buffer.is_empty()
    }
}

/// What an event says, and the lines around it.
pub struct Event {
    /// Its data; none for a comment, and for an event that only has an id.
    pub data: Option<String>,
    /// Its other lines.
    rest: String,
}

impl Event {
    /// Reads an event. None if it has two readings: clients split lines at a lone carriage return, others do not.
    pub fn read(raw: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(raw).ok()?;
        let is_plain = !text.starts_with('\u{feff}') && !text.replace("\r\n", "\n").contains('\r');
        is_plain.then_some(())?;
        let (mut data, mut rest) = (None::<String>, String::new());
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            if field != "data" {
                if !line.is_empty() {
                    rest.push_str(line);
                    rest.push('\n');
                }
                continue;
            }
            let value = value.strip_prefix(' ').unwrap_or(value);
            match &mut data {
                None => data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            }
        }
        let data = data.filter(|data| !data.is_empty());
        Some(Self { data, rest })
    }

    /// It with other data.
    pub fn with_data(&self, data: &str) -> Bytes {
        format!("{}data: {data}\n\n", self.rest).into()
    }
}
