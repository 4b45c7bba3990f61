use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

#[test]
fn the_credential_goes_where_its_binding_says() {
    let parts = sent(
        &https("mcp.test"),
        "POST",
        "/mcp",
        &[("authorization", &bearer(0))],
    );
    assert_eq!(
        parts.headers["authorization"],
        format!("Bearer {CANARY}").as_str()
    );
    assert!(parts.headers["authorization"].is_sensitive());
    let parts = sent(
        &https("mcp.test"),
        "POST",
        "/mcp?a=b",
        &[("authorization", &bearer(0).replace("Bearer", "bEARER"))],
    );
    assert_eq!(
        parts.headers["authorization"],
        format!("Bearer {CANARY}").as_str()
    );
    let parts = sent(
        &https("model.test"),
        "POST",
        "/v1/messages",
        &[("x-api-key", &PLACEHOLDERS[1])],
    );
    assert_eq!(parts.headers["x-api-key"], CANARY);
}

#[test]
fn row_002_never_over_cleartext() {
    let code = refused(
        &http("mcp.test"),
        "POST",
        "/mcp",
        &[("authorization", &bearer(0))],
    );
    assert_eq!(code, RefusalCode::CleartextCredential);
    let code = refused(
        &http("mcp.test"),
        "POST",
        "/mcp",
        &[("authorization", "Bearer own")],
    );
    assert_eq!(code, RefusalCode::CleartextCredential);
    sent(&http("mcp.test"), "GET", "/", &[]);
}

#[test]
fn row_041_and_057_other_paths_methods_hosts_ports() {
    use RefusalCode::{MethodNotBound, PathNotBound, PathNotCanonical, PlaceholderNotBound};
    let port = Destination {
        port: 8443,
        ..https("mcp.test")
    };
    for (to, method, path, expected) in [
        (https("mcp.test"), "POST", "/admin", PathNotBound),
        (https("mcp.test"), "POST", "/mcpx", PathNotBound),
        (https("mcp.test"), "POST", "/mcp/", PathNotBound),
        (https("mcp.test"), "POST", "/%6dcp", PathNotBound),
        (https("mcp.test"), "DELETE", "/mcp", MethodNotBound),
        (https("mcp.test"), "PROPFIND", "/mcp", MethodNotBound),
        (https("mcp.test"), "post", "/mcp", MethodNotBound),
        (https("mcp.test"), "POST", "/mcp/../admin", PathNotCanonical),
        (
            https("mcp.test"),
            "POST",
            "/mcp/%2e%2e/admin",
            PathNotCanonical,
        ),
        (https("mcp.test"), "POST", "/mcp;x", PathNotCanonical),
        (https("attacker.test"), "POST", "/mcp", PlaceholderNotBound),
        (
            https("model.test"),
            "POST",
            "/v1/messages",
            PlaceholderNotBound,
        ),
        (port, "POST", "/mcp", PlaceholderNotBound),
    ] {
        assert_eq!(
            refused(&to, method, path, &[("authorization", &bearer(0))]),
            expected,
            "{to:?} {method} {path}"
        );
    }
}

#[test]
fn row_046_method_overrides() {
    let to = https("mcp.test");
    let authorization = ("authorization", &*bearer(0));
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
    ] {
        assert_eq!(
            refused(&to, "POST", "/mcp", &[authorization, (name, "DELETE")]),
            RefusalCode::MethodNotBound
        );
    }
    assert_eq!(
        refused(&to, "POST", "/mcp?_method=DELETE", &[authorization]),
        RefusalCode::MethodNotBound
    );
    assert_eq!(
        refused(&to, "POST", "/mcp?%5fmethod=DELETE", &[authorization]),
        RefusalCode::MethodNotBound
    );
}

#[test]
fn rows_049_050_051_053_only_the_declared_place() {
    let (to, token, good) = (https("mcp.test"), &*PLACEHOLDERS[0], &*bearer(0));
    let evil = format!("{good}, evil");
    let two = format!("{good} {token}");
    let cookie = format!("a={token}");
    for headers in [
        vec![("cookie", cookie.as_str())],
        vec![("user-agent", token)],
        vec![("referer", token)],
        vec![("x-forwarded-for", token)],
        vec![("authorization", token)],
        vec![("authorization", evil.as_str())],
        vec![("authorization", two.as_str())],
        vec![("authorization", good), ("authorization", "Bearer own")],
        vec![("authorization", good), ("authorization", good)],
        vec![("authorization", good), ("x-debug", token)],
        vec![("proxy-authorization", good)],
        vec![("proxy-authorization", good), ("authorization", good)],
    ] {
        assert_eq!(
            refused(&to, "POST", "/mcp", &headers),
            RefusalCode::PlaceholderMisplaced,
            "{headers:?}"
        );
    }
    let in_query = format!("/mcp?token={token}");
    assert_eq!(
        refused(&to, "POST", &in_query, &[]),
        RefusalCode::PlaceholderMisplaced
    );
    assert_eq!(
        refused(&to, "POST", &in_query, &[("authorization", good)]),
        RefusalCode::PlaceholderMisplaced
    );
    let in_path = format!("/mcp/{token}");
    assert_eq!(
        refused(&to, "POST", &in_path, &[]),
        RefusalCode::PathNotBound
    );
}

#[test]
fn row_052_a_credential_of_the_callers_own() {
    let own = [("authorization", "Bearer sk-own")];
    assert_eq!(
        refused(&https("mcp.test"), "POST", "/mcp", &own),
        RefusalCode::CredentialRequired
    );
    assert_eq!(
        refused(&https("mcp.test"), "POST", "/mcp", &[]),
        RefusalCode::CredentialRequired
    );
    assert_eq!(
        refused(&https("mcp.test"), "GET", "/other", &own),
        RefusalCode::CredentialRequired
    );
    assert_eq!(
        refused(&https("mcp.test"), "OPTIONS", "/mcp", &own),
        RefusalCode::CredentialRequired
    );
    assert_eq!(
        refused(&https("mcp.test"), "GET", "/other", &[("cookie", "s=1")]),
        RefusalCode::CredentialRequired
    );
    assert_eq!(
        refused(&https("query.test"), "GET", "/v2?key=own", &[]),
        RefusalCode::CredentialRequired
    );
    let beside = [
        ("x-api-key", &*PLACEHOLDERS[1]),
        ("authorization", "Bearer sk-own"),
    ];
    assert_eq!(
        refused(&https("model.test"), "POST", "/v1/messages", &beside),
        RefusalCode::CredentialRequired
    );
    sent(&https("free.test"), "GET", "/other", &own);
}

#[test]
fn row_173_what_is_asked_without_a_credential_by_design() {
    sent(&https("mcp.test"), "OPTIONS", "/mcp", &[]);
    sent(
        &https("git.test"),
        "GET",
        "/.well-known/oauth-protected-resource",
        &[],
    );
    sent(&https("mcp.test"), "GET", "/elsewhere", &[]);
    assert_eq!(
        refused(&https("mcp.test"), "OPTIONS", "*", &[]),
        RefusalCode::MalformedRequest
    );
}

#[test]
fn row_052_a_credential_of_the_callers_own_in_any_usual_place() {
    let to = https("mcp.test");
    for (target, header) in [
        ("/elsewhere?access_token=x", None),
        ("/elsewhere?a=b&private%5Ftoken=x", None),
        ("/elsewhere?API_KEY=x", None),
        ("/elsewhere", Some(("x-api-key", "x"))),
        ("/elsewhere", Some(("private-token", "x"))),
    ] {
        let headers: Vec<_> = header.into_iter().collect();
        let code = refused(&to, "GET", target, &headers);
        assert_eq!(code, RefusalCode::CredentialRequired, "{target} {header:?}");
    }
    let token = bearer(0);
    for (target, header) in [
        ("/mcp?access_token=x", None),
        ("/mcp", Some(("x-api-key", "x"))),
    ] {
        let headers: Vec<_> = header
            .into_iter()
            .chain([("authorization", token.as_str())])
            .collect();
        let code = refused(&to, "GET", target, &headers);
        assert_eq!(code, RefusalCode::CredentialRequired, "{target} {header:?}");
    }
    // What looks like one is none.
    sent(
        &to,
        "GET",
        "/elsewhere?page_token=x&key=ABC-1",
        &[("x-request-id", "x")],
    );
    // Elsewhere the caller may be whom it likes.
    sent(
        &https("free.test"),
        "GET",
        "/?access_token=x",
        &[("x-api-key", "x")],
    );
}

#[test]
fn row_085_basic_in_either_half() {
    let to = https("git.test");
    let token = &PLACEHOLDERS[2];
    for (user, password) in [("x-access-token", token.as_str()), ("", token)] {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let parts = sent(
            &to,
            "GET",
            "/a/b.git/info/refs?service=git-upload-pack",
            &[("authorization", &value)],
        );
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{CANARY}")));
        assert_eq!(parts.headers["authorization"], expected.as_str());
    }
    let value = format!(
        "basic {}",
        STANDARD.encode(format!("{token}:x-oauth-basic"))
    );
    let parts = sent(&to, "GET", "/a", &[("authorization", &value)]);
    let expected = format!(
        "Basic {}",
        STANDARD.encode(format!("{CANARY}:x-oauth-basic"))
    );
    assert_eq!(parts.headers["authorization"], expected.as_str());
    for plain in [
        format!("{token}:{token}"),
        format!("a:{token}x"),
        format!("a:b{token}"),
        token.clone(),
    ] {
        let value = format!("Basic {}", STANDARD.encode(plain));
        assert_eq!(
            refused(&to, "GET", "/a", &[("authorization", &value)]),
            RefusalCode::PlaceholderMisplaced
        );
    }
}

#[test]
fn row_086_basic_elsewhere_is_seen() {
    let value = format!(
        "Basic {}",
        STANDARD.encode(format!("x:{}", PLACEHOLDERS[2]))
    );
    let headers = [("authorization", value.as_str())];
    assert_eq!(
        refused(&https("attacker.test"), "GET", "/", &headers),
        RefusalCode::PlaceholderNotBound
    );
    assert_eq!(
        refused(&https("mcp.test"), "POST", "/mcp", &headers),
        RefusalCode::PlaceholderNotBound
    );
}

#[test]
fn row_095_git_is_asked_for_its_credential() {
    let to = https("git.test");
    let refusal = run(&policy(), &to, head(&to, "GET", "/a/info/refs", &[]))
        .err()
        .unwrap();
    assert_eq!(
        (refusal.code, refusal.status().as_u16()),
        (RefusalCode::CredentialRequired, 401)
    );
    let to = https("mcp.test");
    let refusal = run(&policy(), &to, head(&to, "POST", "/mcp", &[]))
        .err()
        .unwrap();
    assert_eq!(refusal.status(), 403);
}

#[test]
fn row_087_disguises_are_seen() {
    let to = https("attacker.test");
    let token = &PLACEHOLDERS[0];
    let encoded: String = token.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let twice = encoded.replace('%', "%25");
    let json: String = token.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let base64 = STANDARD.encode(token);
    let in_both = percent_encoded(&STANDARD.encode(format!("{{\"a\":\"{json}\"}}")));
    let upper = token.to_uppercase();
    for text in [token, &encoded, &twice, &upper, &base64, &in_both] {
        assert_eq!(
            refused(&to, "GET", &format!("/?q={text}"), &[]),
            RefusalCode::PlaceholderNotBound,
            "{text}"
        );
        assert_eq!(
            refused(&to, "GET", &format!("/{text}"), &[]),
            RefusalCode::PlaceholderNotBound,
            "{text}"
        );
        assert_eq!(
            refused(&to, "GET", "/", &[("x-a", text)]),
            RefusalCode::PlaceholderNotBound,
            "{text}"
        );
    }
    let code = refused(&to, "GET", "/", &[("x-a", &json)]);
    assert_eq!(code, RefusalCode::PlaceholderNotBound);
}

fn percent_encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[test]
fn rows_089_091_unknown_placeholders() {
    let to = https("mcp.test");
    let token = &PLACEHOLDERS[0];
    let other = miosa_vault::placeholder::mint(None);
    let mut flipped = token.clone();
    let last = if token.ends_with('0') { "1" } else { "0" };
    flipped.replace_range(token.len() - 1.., last);
    for unknown in [
        &other,
        &flipped,
        &token[..token.len() - 1].to_owned(),
        &"miosa-tok-".to_owned(),
    ] {
        let value = format!("Bearer {unknown}");
        assert_eq!(
            refused(&to, "POST", "/mcp", &[("authorization", &value)]),
            RefusalCode::PlaceholderUnknown
        );
        assert_eq!(
            refused(&https("free.test"), "GET", "/", &[("a", &value)]),
            RefusalCode::PlaceholderUnknown
        );
        let both = [("authorization", &*bearer(0)), ("x-a", unknown.as_str())];
        assert_eq!(
            refused(&to, "POST", "/mcp", &both),
            RefusalCode::PlaceholderUnknown
        );
    }
    let longer = format!("{}0", bearer(0));
    assert_eq!(
        refused(&to, "POST", "/mcp", &[("authorization", &longer)]),
        RefusalCode::PlaceholderMisplaced
    );
}

#[test]
fn row_092_the_shape_is_part_of_the_placeholder() {
    let bare = PLACEHOLDERS[1].strip_prefix("sk-ant-api03-").unwrap();
    let to = https("model.test");
    assert_eq!(
        refused(&to, "POST", "/v1/a", &[("x-api-key", bare)]),
        RefusalCode::PlaceholderMisplaced
    );
    let both = [
        ("x-api-key", &*PLACEHOLDERS[1]),
        ("x-other", &*PLACEHOLDERS[0]),
    ];
    assert_eq!(
        refused(&to, "POST", "/v1/a", &both),
        RefusalCode::PlaceholderMisplaced
    );
}

#[test]
fn refusals_name_what_would_be_accepted() {
    let to = https("attacker.test");
    let refusal = run(
        &policy(),
        &to,
        head(&to, "GET", "/", &[("a", &PLACEHOLDERS[0])]),
    )
    .err()
    .unwrap();
    assert_eq!(refusal.allowed, ["POST,GET https://mcp.test/mcp"]);
    let to = https("model.test");
    let refusal = run(
        &policy(),
        &to,
        head(&to, "POST", "/v1/a", &[("a", &PLACEHOLDERS[1])]),
    )
    .err()
    .unwrap();
    assert_eq!(
        refusal.allowed,
        [
            "header x-api-key: $TOKEN_1",
            "header authorization: Bearer $TOKEN_1"
        ]
    );
}
