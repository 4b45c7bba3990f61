use http::request::Parts;
use http::{HeaderValue, Request, Version};
use miosa_api::broker::RefusalCode::{self, *};
use miosa_api::limits::{BROKER_HEAD_BYTES_MAX, BROKER_HEADERS_MAX};

use super::Received;
use crate::policy::Destination;
use crate::policy::tests::{http, https};

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn check(to: &Destination, parts: Parts) -> Option<RefusalCode> {
    Received::new(to, parts).err().map(|refusal| refusal.code)
}

#[test]
fn rows_003_004_006_007_008_one_authority() {
    let to = https("a.test");
    for (target, hosts, expected) in [
        ("/", vec!["a.test"], None),
        ("/", vec!["A.Test."], None),
        ("/", vec!["a.test:443"], None),
        ("https://a.test/", vec!["a.test"], None),
        ("https://a.test/", vec![], None),
        ("https://a.test:443/", vec!["a.test"], None),
        ("/", vec![], Some(MalformedRequest)),
        ("/", vec!["b.test"], Some(AuthorityMismatch)),
        ("/", vec!["a.test:8443"], Some(AuthorityMismatch)),
        ("/", vec!["a.test", "b.test"], Some(MalformedRequest)),
        ("/", vec!["b.test", "a.test"], Some(MalformedRequest)),
        ("/", vec!["a.test", "a.test"], Some(MalformedRequest)),
        ("https://b.test/", vec!["a.test"], Some(AuthorityMismatch)),
        ("https://a.test/", vec!["b.test"], Some(AuthorityMismatch)),
        (
            "https://a.test:8443/",
            vec!["a.test"],
            Some(AuthorityMismatch),
        ),
        ("http://a.test/", vec!["a.test"], Some(AuthorityMismatch)),
        ("https://x@a.test/", vec!["a.test"], Some(MalformedRequest)),
        ("/", vec!["x@a.test"], Some(MalformedRequest)),
        ("/", vec!["a.test@b.test"], Some(MalformedRequest)),
        ("/", vec![""], Some(MalformedRequest)),
        ("/", vec!["a.test, b.test"], Some(MalformedRequest)),
        ("/", vec!["a.test/x"], Some(MalformedRequest)),
        ("/", vec!["a.test:0443"], Some(MalformedRequest)),
    ] {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        assert_eq!(
            check(&to, head("GET", target, &headers)),
            expected,
            "{target} {hosts:?}"
        );
    }
}

#[test]
fn what_is_judged_is_what_is_sent() {
    let to = https("a.test");
    for target in ["https://a.test?b", "*"] {
        let code = check(&to, head("OPTIONS", target, &[("host", "a.test")]));
        assert_eq!(code, Some(MalformedRequest), "{target}");
    }
    assert_eq!(
        check(&to, head("GET", "https://a.test", &[("host", "a.test")])),
        None
    );
}

#[test]
fn cleartext_has_its_own_default_port() {
    assert_eq!(
        check(&http("a.test"), head("GET", "/", &[("host", "a.test")])),
        None
    );
    assert_eq!(
        check(
            &http("a.test"),
            head("GET", "http://a.test/", &[("host", "a.test:80")])
        ),
        None
    );
    let code = check(&http("a.test"), head("GET", "/", &[("host", "a.test:443")]));
    assert_eq!(code, Some(AuthorityMismatch));
}

#[test]
fn row_061_one_length() {
    let to = https("a.test");
    for (framing, expected) in [
        (vec![("content-length", "5")], None),
        (vec![("transfer-encoding", "chunked")], None),
        (vec![("transfer-encoding", "Chunked")], None),
        (
            vec![("content-length", "5"), ("transfer-encoding", "chunked")],
            Some(MalformedRequest),
        ),
        (
            vec![("content-length", "5"), ("content-length", "5")],
            Some(MalformedRequest),
        ),
        (
            vec![("content-length", "5"), ("content-length", "6")],
            Some(MalformedRequest),
        ),
        (vec![("content-length", "+5")], Some(MalformedRequest)),
        (vec![("content-length", "0x5")], Some(MalformedRequest)),
        (vec![("content-length", "5, 5")], Some(MalformedRequest)),
        (vec![("content-length", "")], Some(MalformedRequest)),
        (
            vec![("transfer-encoding", "xchunked")],
            Some(MalformedRequest),
        ),
        (
            vec![("transfer-encoding", "gzip, chunked")],
            Some(MalformedRequest),
        ),
        (
            vec![("transfer-encoding", "chunked"), ("transfer-encoding", "x")],
            Some(MalformedRequest),
        ),
    ] {
        let headers = [&[("host", "a.test")], framing.as_slice()].concat();
        assert_eq!(
            check(&to, head("POST", "/", &headers)),
            expected,
            "{framing:?}"
        );
    }
}

#[test]
fn row_073_no_transfer_encoding_in_http2() {
    let mut parts = head(
        "POST",
        "https://a.test/",
        &[("transfer-encoding", "chunked")],
    );
    parts.version = Version::HTTP_2;
    assert_eq!(check(&https("a.test"), parts), Some(MalformedRequest));
}

#[test]
fn rows_026_047_048_methods_never_passed_on() {
    for method in ["TRACE", "TRACK", "trace", "Track", "connect"] {
        let code = check(&https("a.test"), head(method, "/", &[("host", "a.test")]));
        assert_eq!(code, Some(MethodNotBound), "{method}");
    }
    let code = check(
        &https("a.test"),
        head("CONNECT", "a.test:443", &[("host", "a.test")]),
    );
    assert_eq!(code, Some(MethodNotBound));
}

#[test]
fn rows_025_068_upgrades() {
    for (value, expected) in [
        ("websocket", None),
        ("WebSocket", None),
        ("h2c", Some(UpgradeNotAllowed)),
        ("websocket, h2c", Some(UpgradeNotAllowed)),
        ("TLS/1.0", Some(UpgradeNotAllowed)),
    ] {
        let parts = head("GET", "/", &[("host", "a.test"), ("upgrade", value)]);
        assert_eq!(check(&https("a.test"), parts), expected, "{value}");
    }
}

#[test]
fn an_upgrade_has_no_body() {
    for (field, expected) in [
        (("content-length", "0"), None),
        (("content-length", "5"), Some(MalformedRequest)),
        (("transfer-encoding", "chunked"), Some(MalformedRequest)),
    ] {
        let fields = [("host", "a.test"), ("upgrade", "websocket"), field];
        let code = check(&https("a.test"), head("GET", "/", &fields));
        assert_eq!(code, expected, "{field:?}");
    }
}

#[test]
fn heads_at_their_limits() {
    let with_headers = |count: usize| {
        let mut parts = head("GET", "/", &[("host", "a.test")]);
        (1..count).for_each(|_| {
            parts.headers.append("x", HeaderValue::from_static("y"));
        });
        check(&https("a.test"), parts)
    };
    assert_eq!(with_headers(BROKER_HEADERS_MAX), None);
    assert_eq!(with_headers(BROKER_HEADERS_MAX + 1), Some(HeadTooLarge));
    let with_bytes = |bytes: usize| {
        let value = "y".repeat(bytes - "host: a.test\r\n".len() - "x: \r\n".len());
        check(
            &https("a.test"),
            head("GET", "/", &[("host", "a.test"), ("x", &value)]),
        )
    };
    assert_eq!(with_bytes(BROKER_HEAD_BYTES_MAX), None);
    assert_eq!(with_bytes(BROKER_HEAD_BYTES_MAX + 1), Some(HeadTooLarge));
}

/// HTTP/2's parser takes a quotation mark in a field's name, which in HTTP/1 no parser needs to.
#[test]
fn names_of_fields_that_are_no_tokens() {
    let quoted = http::HeaderName::from_lowercase(b"x\"a").expect("as the parser of HTTP/2 does");
    let mut parts = head("GET", "https://a.test/", &[]);
    parts.version = Version::HTTP_2;
    let to = https("a.test");
    assert_eq!(check(&to, parts.clone()), None);
    parts
        .headers
        .insert(quoted, HeaderValue::from_static("http"));
    assert_eq!(check(&to, parts), Some(MalformedRequest));
}
