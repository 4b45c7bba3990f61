//! The canonical form of a request: what is hashed and signed.

use http::HeaderMap;
use http::header::{CONNECTION, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use percent_encoding::{percent_decode_str, percent_encode, utf8_percent_encode};

use super::stated::Stated;
use super::{SIGNATURE_PARAMETER, UNRESERVED};

/// Headers that end at the broker or are written by its client: they are never signed.
const NOT_SENT_ON: [http::HeaderName; 6] =
    [CONNECTION, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

impl Stated {
    /// The headers to sign, in order: what the client signed, as far as it is sent, and all of `x-amz-`, which S3
    /// wants signed.
    pub(super) fn names(&self, headers: &HeaderMap) -> Vec<String> {
        let is_signed = |name: &str| {
            let stated = self.signed_headers.iter().any(|one| one == name);
            stated || name.starts_with("x-amz-")
        };
        let sent = headers.keys().filter(|name| !NOT_SENT_ON.contains(name));
        let sent = sent.filter(|name| *name != HOST && is_signed(name.as_str()));
        let mut names: Vec<String> = sent.map(|name| name.as_str().to_owned()).collect();
        names.push(HOST.as_str().to_owned());
        names.sort_unstable();
        names
    }
}

/// The whole of it.
pub(super) fn request(
    parts: &Parts,
    host: &str,
    names: &[String],
    service: &str,
    payload: &str,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut line = |text: &[u8]| {
        out.extend_from_slice(text);
        out.push(b'\n');
    };
    line(parts.method.as_str().as_bytes());
    line(path(parts.uri.path(), service).as_bytes());
    line(query(parts.uri.query().unwrap_or_default()).as_bytes());
    for name in names {
        let value = match name.as_str() {
            "host" => host.as_bytes().to_vec(),
            name => value(&parts.headers, name),
        };
        line(&[name.as_bytes(), b":", &value].concat());
    }
    line(b"");
    line(names.join(";").as_bytes());
    out.extend_from_slice(payload.as_bytes());
    out
}

/// As it is sent for S3, and escaped once more for everything else. Nothing is to be normalised: a bound host takes
/// canonical paths alone.
fn path(path: &str, service: &str) -> String {
    if service == "s3" {
        return path.to_owned();
    }
    let segments = path.split('/');
    let escaped = segments.map(|segment| utf8_percent_encode(segment, UNRESERVED).to_string());
    escaped.collect::<Vec<_>>().join("/")
}

/// Every name and value escaped in the one way, in order.
fn query(query: &str) -> String {
    let again = |text: &str| {
        let plain: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&plain, UNRESERVED).to_string()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (again(name), again(value)))
        .filter(|(name, _)| name != SIGNATURE_PARAMETER)
        .collect();
    pairs.sort_unstable();
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

/// All values of a header, each trimmed and with single spaces.
fn value(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let values: Vec<Vec<u8>> = (headers.get_all(name).iter())
        .map(|value| {
            let words = value
                .as_bytes()
                .split(|byte| *byte == b' ' || *byte == b'\t');
            let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
            words.join(&b' ')
        })
        .collect();
    values.join(&b',')
}
