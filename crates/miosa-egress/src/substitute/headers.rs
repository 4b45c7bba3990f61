//! Headers around a credential: what a request with one must not carry, and what its answer loses.

use http::header::{
    ACCEPT_ENCODING, ALT_SVC, CONNECTION, CONTENT_LENGTH, HOST, IF_RANGE, RANGE, TE, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::policy::Destination;
use crate::weaken::{Defence, is_off};

const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
];
const DIGESTS: &[&str] = &["content-md5", "digest", "content-digest", "repr-digest"];

/// Makes a head that carries a credential fit to be sent, and its answer fit to be searched.
pub(super) fn prepare_request(parts: &mut Parts, to: &Destination, carrier: Option<&HeaderName>) {
    let headers = &mut parts.headers;
    let is_websocket = headers.contains_key(UPGRADE);
    remove_hop_by_hop(headers, carrier);
    if is_websocket && !is_off(Defence::Upgrade) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.remove("sec-websocket-extensions");
    }
    // A compressed answer could not be searched for the credential.
    if !is_off(Defence::Compression) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if headers.contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(&to.authority())
    {
        headers.insert(HOST, host);
    }
}

/// Makes the answer to a head without a credential fit to be searched.
pub(super) fn make_searchable(parts: &mut Parts) {
    let headers = &mut parts.headers;
    if headers.contains_key(UPGRADE) && !is_off(Defence::Upgrade) {
        headers.remove("sec-websocket-extensions");
    }
    if !is_off(Defence::Compression) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    want_all(parts);
}

/// Asks for the whole of an answer: a part of one could not be searched for the credential. What is signed may ask for
/// parts: what it was signed with is not sent, so that no answer holds it.
pub(super) fn want_all(parts: &mut Parts) {
    for name in [RANGE, IF_RANGE] {
        parts.headers.remove(name);
    }
}

/// Row 83: headers the caller names in `Connection` end here, except the one that carries the credential
/// and those that frame the message.
fn remove_hop_by_hop(headers: &mut HeaderMap, carrier: Option<&HeaderName>) {
    let kept = [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "te",
        "upgrade",
    ];
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name: &HeaderName| !kept.contains(&name.as_str()))
        .collect();
    for name in named.iter().filter(|name| Some(*name) != carrier) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
    if headers
        .get_all(TE)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"trailers"))
    {
        headers.remove(TE);
    }
}

/// Removes from an answer what would lead the client around the broker (`alt-svc`), and, when the body
/// is searched, what would no longer be true of it.
pub fn clean_response_headers(headers: &mut HeaderMap, is_searched: bool) {
    if !is_off(Defence::AltSvc) {
        headers.remove(ALT_SVC);
    }
    if is_searched {
        headers.remove(CONTENT_LENGTH);
        for name in DIGESTS {
            headers.remove(*name);
        }
    }
}
