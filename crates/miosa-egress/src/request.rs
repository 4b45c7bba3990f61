//! A request as it was received: one authority, one length, one meaning, or none at all.
//!
//! `Received::new` is the first stage; it knows no policy. What it lets through, every parser behind
//! it reads alike: who the request is for is the destination of its connection, said by the TLS
//! handshake, and everything in the head that names a host must agree.

use http::Version;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use miosa_api::broker::RefusalCode;
use miosa_api::limits::{BROKER_HEAD_BYTES_MAX, BROKER_HEADERS_MAX};

use crate::policy::{Destination, Host};
use crate::refusal::Refusal;
use crate::weaken::{Defence, is_off};

/// A request whose head has one meaning. Nothing about it was decided yet, so it cannot be sent:
///
/// ```compile_fail
/// fn send(request: miosa_egress::substitute::Substituted) {}
/// fn skip_the_decision(received: miosa_egress::request::Received) { send(received) }
/// ```
///
/// ```
/// fn send(request: miosa_egress::substitute::Substituted) {}
/// fn with_the_decision(substituted: miosa_egress::substitute::Substituted) { send(substituted) }
/// ```
pub struct Received {
    destination: Destination,
    parts: Parts,
}

impl Received {
    /// Checks the head of a request that came in on a connection for `destination`.
    ///
    /// # Errors
    /// When it names another host, could be read in two ways, or tries to leave HTTP.
    pub fn new(destination: &Destination, parts: Parts) -> Result<Self, Refusal> {
        check_size(&parts)?;
        check_names(&parts)?;
        let trusted = is_off(Defence::Authority)
            .then(|| named_by_caller(destination, &parts))
            .flatten();
        if let Some(destination) = trusted {
            return Ok(Self { destination, parts });
        }
        check_target(&parts)?;
        check_authority(destination, &parts)?;
        if !is_off(Defence::StrictFraming) {
            check_framing(&parts)?;
        }
        check_method(&parts)?;
        check_upgrade(&parts)?;
        Ok(Self {
            destination: destination.clone(),
            parts,
        })
    }

    /// Where it goes.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Its head.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    pub(crate) fn into_inner(self) -> (Destination, Parts) {
        (self.destination, self.parts)
    }
}

fn malformed(message: &str) -> Refusal {
    let hint = "Send the request with an ordinary HTTP client.";
    Refusal::new(RefusalCode::MalformedRequest, message, hint)
}

fn check_size(parts: &Parts) -> Result<(), Refusal> {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + 4
    };
    let bytes: usize = parts.headers.iter().map(field).sum();
    if bytes <= BROKER_HEAD_BYTES_MAX && parts.headers.len() <= BROKER_HEADERS_MAX {
        return Ok(());
    }
    let message = format!(
        "The request has more than {BROKER_HEADERS_MAX} header fields or {BROKER_HEAD_BYTES_MAX} bytes of them."
    );
    Err(Refusal::new(
        RefusalCode::HeadTooLarge,
        message,
        "Send fewer or shorter headers.",
    ))
}

/// What the parser of HTTP/2 takes beyond a token would stand in a line of HTTP/1 as it is.
fn check_names(parts: &Parts) -> Result<(), Refusal> {
    if parts.version == Version::HTTP_2
        && parts.headers.keys().any(|name| name.as_str().contains('"'))
    {
        return Err(malformed(
            "The name of a header field holds a quotation mark.",
        ));
    }
    Ok(())
}

/// `https://host?query` and `*` have no path of their own: what was judged would not be what is sent.
fn check_target(parts: &Parts) -> Result<(), Refusal> {
    // A CONNECT has none either, and is refused by its name.
    let target = parts.uri.path_and_query();
    if target.is_none_or(|target| target.as_str().starts_with('/')) {
        return Ok(());
    }
    Err(malformed(
        "The request's target has no path that begins with `/`.",
    ))
}

fn check_authority(destination: &Destination, parts: &Parts) -> Result<(), Refusal> {
    let hosts: Vec<_> = parts.headers.get_all(HOST).iter().collect();
    if hosts.len() > 1 {
        return Err(malformed("The request has more than one Host header."));
    }
    let scheme = parts.uri.scheme_str();
    if scheme.is_some_and(|scheme| scheme != destination.scheme()) {
        return Err(authority_mismatch(destination));
    }
    let mut named = false;
    let in_header = hosts.iter().map(|value| value.to_str().unwrap_or_default());
    let in_target = parts.uri.authority().map(http::uri::Authority::as_str);
    for authority in in_target.into_iter().chain(in_header) {
        named = true;
        match destination.is_named_by(authority) {
            Some(true) => {}
            Some(false) => return Err(authority_mismatch(destination)),
            None => {
                return Err(malformed(
                    "The request's Host or target is not a plain host name and port.",
                ));
            }
        }
    }
    if named {
        Ok(())
    } else {
        Err(malformed("The request names no host."))
    }
}

/// What the caller says it wants: nothing to go by.
fn named_by_caller(connection: &Destination, parts: &Parts) -> Option<Destination> {
    let in_target = parts.uri.authority().map(http::uri::Authority::as_str);
    let in_header = || {
        parts
            .headers
            .get(HOST)
            .and_then(|value| value.to_str().ok())
    };
    let authority = in_target.or_else(in_header)?;
    let host = authority
        .split_once(':')
        .map_or(authority, |(host, _)| host);
    Some(Destination {
        host: Host::parse(host)?,
        ..connection.clone()
    })
}

fn authority_mismatch(destination: &Destination) -> Refusal {
    let message = format!(
        "The request on this connection is for another host than {}, for which it was opened.",
        destination.authority()
    );
    let hint =
        "Open one connection per host, and let Host, :authority and the TLS server name agree.";
    Refusal::new(RefusalCode::AuthorityMismatch, message, hint)
}

fn check_framing(parts: &Parts) -> Result<(), Refusal> {
    let lengths: Vec<_> = parts.headers.get_all(CONTENT_LENGTH).iter().collect();
    let encodings: Vec<_> = parts.headers.get_all(TRANSFER_ENCODING).iter().collect();
    let is_number = |value: &&http::HeaderValue| {
        !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
    };
    if lengths.len() > 1 || !lengths.iter().all(is_number) {
        return Err(malformed(
            "The request's Content-Length is not one plain number.",
        ));
    }
    if !lengths.is_empty() && !encodings.is_empty() {
        return Err(malformed(
            "The request has both Content-Length and Transfer-Encoding.",
        ));
    }
    let is_chunked = |value: &&http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    let is_h1 = parts.version == Version::HTTP_11;
    if encodings.len() > 1 || !encodings.iter().all(is_chunked) || (!encodings.is_empty() && !is_h1)
    {
        return Err(malformed(
            "The request's Transfer-Encoding is not plainly `chunked`.",
        ));
    }
    Ok(())
}

fn check_method(parts: &Parts) -> Result<(), Refusal> {
    let method = parts.method.as_str();
    let refused = ["CONNECT", "TRACE", "TRACK"]
        .into_iter()
        .find(|name| method.eq_ignore_ascii_case(name));
    let Some(name) = refused else {
        return Ok(());
    };
    let message = format!("{name} is never passed on.");
    let hint = "Use an ordinary method; no proxy needs to be set in a sandbox.";
    Err(Refusal::new(RefusalCode::MethodNotBound, message, hint))
}

fn check_upgrade(parts: &Parts) -> Result<(), Refusal> {
    let has_body = parts.headers.contains_key(TRANSFER_ENCODING)
        || parts
            .headers
            .get(CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    if parts.headers.contains_key(UPGRADE) && has_body {
        // What follows the head is relayed: a server that waits for a body would take it for that.
        return Err(malformed("The request asks for an upgrade and has a body."));
    }
    let is_websocket =
        |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"websocket");
    if parts.headers.get_all(UPGRADE).iter().all(is_websocket) || is_off(Defence::Upgrade) {
        return Ok(());
    }
    let hint = "Use HTTP/1.1 or, over TLS, HTTP/2 by ALPN.";
    let message = "An upgrade to anything but WebSocket is not passed on.";
    Err(Refusal::new(RefusalCode::UpgradeNotAllowed, message, hint))
}

#[cfg(test)]
mod tests;
