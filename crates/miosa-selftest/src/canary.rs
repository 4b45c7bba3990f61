//! A real value with high entropy, and every form in which it could come out somewhere.

use std::io::Read as _;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use flate2::read::{DeflateDecoder, GzDecoder, ZlibDecoder};
use uuid::Uuid;

/// Largest decompressed piece that is searched.
const INFLATED_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A secret of this run.
pub struct Canary {
    /// Whose it is.
    pub connector: &'static str,
    value: String,
    names: Vec<&'static str>,
    search: AhoCorasick,
}

impl Canary {
    /// A fresh one; characters that encoders treat apart are part of it.
    #[must_use]
    pub fn new(connector: &'static str, prefix: &str) -> Self {
        let random = || Uuid::new_v4().simple().to_string();
        let value = format!("{prefix}{}+/{}=.~{}", random(), random(), &random()[..9]);
        Self::of(connector, value)
    }

    /// One of a value that was made elsewhere.
    #[must_use]
    pub fn of(connector: &'static str, value: String) -> Self {
        let (names, texts): (Vec<_>, Vec<_>) = forms_of(&value).into_iter().unzip();
        let search = AhoCorasick::new(texts).expect("some twenty short texts");
        Self {
            connector,
            value,
            names,
            search,
        }
    }

    /// The value, to store it and to compare with.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The form in which it is in `bytes`, if it is: as they are, or after decompression.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Option<&'static str> {
        self.find_plain(bytes).or_else(|| {
            inflated(bytes)
                .iter()
                .any(|text| self.find_plain(text).is_some())
                .then_some("compressed")
        })
    }

    /// As [`Canary::find`], without decompression.
    #[must_use]
    pub fn find_plain(&self, bytes: &[u8]) -> Option<&'static str> {
        let found = self.search.find(bytes)?;
        Some(self.names[found.pattern().as_usize()])
    }
}

fn forms_of(value: &str) -> Vec<(&'static str, String)> {
    let each = |write: fn(u8) -> String| value.bytes().map(write).collect::<String>();
    let escaped = |keep: &str| -> String {
        let write = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ if keep.contains(char::from(byte)) => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        value.bytes().map(write).collect()
    };
    let mut forms = vec![
        ("raw", value.to_owned()),
        ("percent-encoded", escaped("-._~")),
        ("percent-encoded, all", each(|byte| format!("%{byte:02X}"))),
        (
            "percent-encoded, lower case",
            escaped("-._~").to_lowercase(),
        ),
        ("JSON escapes", each(|byte| format!("\\u{byte:04x}"))),
        ("JSON slash", value.replace('/', "\\/")),
        ("hex", hex::encode(value)),
        ("hex, upper case", hex::encode_upper(value)),
    ];
    for alignment in 0..3 {
        let bytes = [&[0; 2][..alignment], value.as_bytes()].concat();
        let whole = (alignment * 8).div_ceil(6)..bytes.len() * 8 / 6;
        let standard = STANDARD_NO_PAD.encode(&bytes)[whole.clone()].to_owned();
        forms.push(("base64", standard));
        forms.push((
            "base64url",
            URL_SAFE_NO_PAD.encode(&bytes)[whole].to_owned(),
        ));
    }
    forms
}

/// What `bytes` are when decompressed, from any place that looks like the beginning of such a stream.
fn inflated(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut read = |stream: &mut dyn std::io::Read| {
        let mut text = Vec::new();
        // A stream that breaks off has given what it had.
        stream.take(INFLATED_BYTES_MAX).read_to_end(&mut text).ok();
        if !text.is_empty() {
            found.push(text);
        }
    };
    for start in memchr::memmem::find_iter(bytes, &[0x1f, 0x8b, 8]) {
        read(&mut GzDecoder::new(&bytes[start..]));
    }
    for start in memchr::memchr_iter(0x78, bytes).take(64) {
        read(&mut ZlibDecoder::new(&bytes[start..]));
    }
    read(&mut DeflateDecoder::new(bytes));
    found
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn every_form_is_found_and_nothing_else() {
        let canary = Canary::new("test", "sk-");
        let value = canary.value().to_owned();
        assert_eq!(canary.find(b"nothing here"), None);
        assert_eq!(
            canary.find(Canary::new("test", "sk-").value().as_bytes()),
            None
        );
        for before in ["", "a", "ab", "abc"] {
            let text = STANDARD.encode(format!("{before}{value}:x"));
            assert_eq!(canary.find(text.as_bytes()), Some("base64"), "{before}");
        }
        let text = format!("<{}>", hex::encode(&value));
        assert_eq!(canary.find(text.as_bytes()), Some("hex"));
        let escaped = value
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D");
        assert_eq!(canary.find(escaped.as_bytes()), Some("percent-encoded"));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(value.as_bytes()).unwrap();
        let packed = [b"head".as_slice(), &packed.finish().unwrap()].concat();
        assert_eq!(canary.find(&packed), Some("compressed"));
    }
}
