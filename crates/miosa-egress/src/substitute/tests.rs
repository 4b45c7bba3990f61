use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use miosa_api::broker::RefusalCode;
use miosa_vault::OpenError;

use super::clean_response_headers;
use crate::mcp::Cleared;
use crate::opened::Opened;
use crate::policy::Authorized;
use crate::policy::tests::{CANARY, PLACEHOLDERS, bearer, head, https, policy, refused, run, sent};
use crate::request::Received;

/// A request that no rules on MCP are about.
fn unread(authorized: Authorized) -> Cleared {
    Cleared::unread(authorized).ok().expect("no rules")
}

#[test]
fn row_060_in_a_query_it_is_encoded_and_nothing_else_changes() {
    let target = format!("/v1/items?a=%2f&key={}&b", PLACEHOLDERS[3]);
    let parts = sent(&https("query.test"), "GET", &target, &[]);
    let encoded = "canary%2F%2B0123456789%22%5C%26%3Cabcdef";
    assert_eq!(
        parts.uri.to_string(),
        format!("/v1/items?a=%2f&key={encoded}&b")
    );
    for query in [
        format!("key={0}&key={0}", PLACEHOLDERS[3]),
        format!("key={}&key=own", PLACEHOLDERS[3]),
        format!("key={}x", PLACEHOLDERS[3]),
        format!("a=1;key=own&key={}", PLACEHOLDERS[3]),
        format!("other={}", PLACEHOLDERS[3]),
    ] {
        let code = refused(
            &https("query.test"),
            "GET",
            &format!("/v1/items?{query}"),
            &[],
        );
        assert_eq!(code, RefusalCode::PlaceholderMisplaced, "{query}");
    }
}

#[test]
fn row_083_the_caller_cannot_strip_the_credential() {
    let headers = [
        ("authorization", &*bearer(0)),
        (
            "connection",
            "keep-alive, authorization, x-hop, content-type",
        ),
        ("x-hop", "1"),
        ("content-type", "application/json"),
        ("keep-alive", "timeout=5"),
        ("te", "gzip"),
    ];
    let parts = sent(&https("mcp.test"), "POST", "/mcp", &headers);
    assert_eq!(
        parts.headers["authorization"],
        format!("Bearer {CANARY}").as_str()
    );
    assert_eq!(parts.headers["content-type"], "application/json");
    for name in ["connection", "x-hop", "keep-alive", "te"] {
        assert!(!parts.headers.contains_key(name), "{name}");
    }
}

#[test]
fn rows_100_102_the_answer_will_be_whole_and_plain() {
    let headers = [
        ("authorization", &*bearer(0)),
        ("range", "bytes=0-1"),
        ("if-range", "x"),
        ("accept-encoding", "gzip, br"),
        ("expect", "100-continue"),
    ];
    let parts = sent(&https("mcp.test"), "POST", "/mcp", &headers);
    assert_eq!(parts.headers["accept-encoding"], "identity");
    assert_eq!(parts.headers["expect"], "100-continue");
    assert!(!parts.headers.contains_key("range") && !parts.headers.contains_key("if-range"));
}

#[test]
fn a_websocket_stays_one_and_uncompressed() {
    let headers = [
        ("authorization", &*bearer(0)),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ];
    let parts = sent(&https("mcp.test"), "GET", "/mcp", &headers);
    assert_eq!(parts.headers["connection"], "upgrade");
    assert_eq!(parts.headers["upgrade"], "websocket");
    assert!(!parts.headers.contains_key("sec-websocket-extensions"));
}

#[test]
fn a_request_without_a_credential_is_left_as_it_is() {
    let headers = [
        ("range", "bytes=0-1"),
        ("accept-encoding", "gzip"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ];
    let to = https("free.test");
    let before = head(&to, "GET", "/a//b?c;d", &headers);
    let (uri, fields) = (before.uri.clone(), before.headers.clone());
    let substituted = run(&policy(), &to, before).ok().unwrap();
    assert!(substituted.binding().is_none() && substituted.redactor().is_none());
    let after = substituted.into_parts();
    assert_eq!((after.uri, after.headers), (uri, fields));
}

#[test]
fn row_183_a_secret_that_does_not_open_stops_the_request() {
    let to = https("mcp.test");
    let parts = head(&to, "POST", "/mcp", &[("authorization", &bearer(0))]);
    let authorized = policy()
        .authorize(Received::new(&to, parts).unwrap())
        .unwrap();
    assert_eq!(authorized.binding().unwrap().binding_id, "b0");
    let refusal = unread(authorized)
        .substitute(&|_| Err(OpenError::Refused))
        .err()
        .unwrap();
    assert_eq!(refusal.code, RefusalCode::SecretUnavailable);
}

#[test]
fn the_secret_is_not_opened_for_a_request_without_one() {
    let to = https("free.test");
    let received = Received::new(&to, head(&to, "GET", "/", &[])).unwrap();
    let authorized = policy().authorize(received).unwrap();
    assert!(
        unread(authorized)
            .substitute(&|_| panic!("must not open"))
            .is_ok()
    );
}

#[test]
fn row_093_a_value_that_looks_like_a_placeholder_is_put_in_once() {
    let to = https("mcp.test");
    let value = miosa_vault::SecretValue::parse(&bearer(0).replace("miosa", "mios")).unwrap();
    let opened = Arc::new(Opened::new(value, &PLACEHOLDERS[0]));
    let parts = head(&to, "POST", "/mcp", &[("authorization", &bearer(0))]);
    let authorized = policy()
        .authorize(Received::new(&to, parts).unwrap())
        .unwrap();
    let substituted = unread(authorized)
        .substitute(&|_| Ok(Arc::clone(&opened)))
        .ok()
        .unwrap();
    assert_eq!(
        substituted.parts().headers["authorization"],
        format!("Bearer {}", opened.secret().expose()).as_str()
    );
}

#[test]
fn rows_079_110_headers_of_the_answer() {
    let answer = || {
        let mut headers = HeaderMap::new();
        for name in [
            "alt-svc",
            "content-length",
            "content-md5",
            "digest",
            "content-type",
        ] {
            headers.insert(name, HeaderValue::from_static("1"));
        }
        headers
    };
    let mut headers = answer();
    clean_response_headers(&mut headers, true);
    assert_eq!(
        headers
            .keys()
            .map(http::HeaderName::as_str)
            .collect::<Vec<_>>(),
        ["content-type"]
    );
    let mut headers = answer();
    clean_response_headers(&mut headers, false);
    assert!(headers.contains_key("content-length") && !headers.contains_key("alt-svc"));
}
