//! Cuts a stream of bytes into lines of text.

/// A line is given out at this many bytes even without its end.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What of a line has come so far.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Lines that are whole now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if self.partial.last() == Some(&b'\n') || self.partial.len() >= LINE_BYTES_MAX {
                lines.extend(self.rest());
            }
        }
        lines
    }

    /// What is left without a line's end.
    pub fn rest(&mut self) -> Option<String> {
        if self.partial.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.partial);
        let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_are_whole_wherever_the_pieces_were_cut() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\ntw"), ["one"]);
        assert_eq!(
            lines.push("o \u{fc}".as_bytes().split_last().expect("bytes").1),
            Vec::<String>::new()
        );
        assert_eq!(
            lines.push(&[0xbc, b'\r', b'\n', b'\n', b'x']),
            ["two \u{fc}", ""]
        );
        assert_eq!(lines.rest().as_deref(), Some("x"));
        assert_eq!(lines.rest(), None);
    }
}
