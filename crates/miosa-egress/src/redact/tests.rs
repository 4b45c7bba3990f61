use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use miosa_api::broker::RefusalCode;
use miosa_vault::SecretValue;
use proptest::prelude::*;

use super::Redactor;

const SECRET: &str = "sk-canary/+0123\"\\&<z";
/// More than this the vectorised search does not take.
const FORMS_MAX: usize = 64;
const PLACEHOLDER: &str = "miosa-tok-000102030405060708090a0b0c0d0e0f1011121300000000";

fn redactor() -> Redactor {
    Redactor::new(&SecretValue::parse(SECRET).unwrap(), PLACEHOLDER)
}

fn redact(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut redactor = redactor();
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&redactor.push(&Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&redactor.finish());
    (out, redactor.has_redacted())
}

fn redacted(text: &str) -> String {
    let (out, found) = redact(&[text.as_bytes()]);
    assert!(found, "{text}");
    String::from_utf8(out).unwrap()
}

#[test]
fn row_096_the_value_becomes_the_placeholder() {
    assert_eq!(
        redacted(&format!("invalid key {SECRET}!")),
        format!("invalid key {PLACEHOLDER}!")
    );
    assert_eq!(
        redacted(&format!("{SECRET}{SECRET}")),
        format!("{PLACEHOLDER}{PLACEHOLDER}")
    );
}

#[test]
fn row_098_in_json_it_stays_json() {
    let texts = [
        serde_json::to_string(SECRET).unwrap(),
        serde_json::to_string(SECRET).unwrap().replace('/', "\\/"),
        serde_json::to_string(SECRET)
            .unwrap()
            .replace('&', "\\u0026")
            .replace('<', "\\u003c"),
        format!(
            "\"{}\"",
            SECRET
                .bytes()
                .map(|b| format!("\\u{b:04x}"))
                .collect::<String>()
        ),
        format!(
            "\"{}\"",
            SECRET
                .bytes()
                .map(|b| format!("\\u{b:04X}"))
                .collect::<String>()
        ),
    ];
    for text in texts {
        let parsed: String = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed, SECRET);
        let parsed: String = serde_json::from_str(&redacted(&text)).unwrap();
        assert_eq!(parsed, PLACEHOLDER, "{text}");
    }
}

#[test]
fn row_098_percent_encoded() {
    for text in [
        "sk-canary%2F%2B0123%22%5C%26%3Cz",
        "sk-canary%2f%2b0123%22%5c%26%3cz",
        "sk%2Dcanary%2F%2B0123%22%5C%26%3Cz",
        "sk-canary/+0123%22\\&%3Cz",
        &SECRET
            .bytes()
            .map(|byte| format!("%{byte:02x}"))
            .collect::<String>(),
    ] {
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8()
                .unwrap()
                .into_owned()
        };
        assert_eq!(decoded(text), SECRET);
        assert_eq!(
            decoded(&redacted(&format!("a={text}&b"))),
            format!("a={PLACEHOLDER}&b"),
            "{text}"
        );
    }
}

#[test]
fn row_098_hexadecimal_and_html() {
    assert_eq!(redacted(&hex::encode(SECRET)), hex::encode(PLACEHOLDER));
    assert_eq!(
        redacted(&hex::encode_upper(SECRET)),
        hex::encode_upper(PLACEHOLDER)
    );
    assert_eq!(
        redacted("<b>sk-canary/+0123&#34;\\&amp;&lt;z</b>"),
        format!("<b>{PLACEHOLDER}</b>")
    );
    assert_eq!(
        redacted("<b>sk-canary/+0123&quot;\\&amp;&lt;z</b>"),
        format!("<b>{PLACEHOLDER}</b>")
    );
}

#[test]
fn row_098_base64_at_every_alignment() {
    for before in ["", "x", "xy", "user:", "user1:", "user22:"] {
        for after in ["", "a", "bc", "def"] {
            let text = STANDARD.encode(format!("{before}{SECRET}{after}"));
            let plain = STANDARD.decode(redacted(&text)).unwrap();
            let plain = String::from_utf8_lossy(&plain).into_owned();
            assert!(
                plain.starts_with(before) && plain.ends_with(after),
                "{plain}"
            );
            assert!(
                !plain.contains("canary") && plain.contains("osa-tok-000102"),
                "{plain}"
            );
            let text = URL_SAFE.encode(format!("{before}{SECRET}{after}"));
            let plain = URL_SAFE.decode(redacted(&text)).unwrap();
            assert!(!String::from_utf8_lossy(&plain).contains("canary"));
        }
    }
}

/// What the encoders named wrote of a value with every character that one of them escapes.
const BY_OTHERS: &[(&str, &str)] = &[
    (
        "System.Text.Json",
        r"it\u0027s/\u002Ba\u0022b\\c\u0026d\u003Ce\u003Ef=g\u0060h",
    ),
    (
        "json_encode with JSON_HEX_*",
        r"it\u0027s\/+a\u0022b\\c\u0026d\u003Ce\u003Ef=g`h",
    ),
    (
        "json_encode with JSON_HEX_* and JSON_UNESCAPED_SLASHES",
        r"it\u0027s/+a\u0022b\\c\u0026d\u003Ce\u003Ef=g`h",
    ),
    (
        "Gson",
        r#"it\u0027s/+a\"b\\c\u0026d\u003ce\u003ef\u003dg`h"#,
    ),
    (
        "Newtonsoft.Json with EscapeHtml",
        r"it\u0027s/+a\u0022b\\c\u0026d\u003ce\u003ef=g`h",
    ),
    (
        "htmlspecialchars",
        r"it&#039;s/+a&quot;b\c&amp;d&lt;e&gt;f=g`h",
    ),
    (
        "html/template",
        r"it&#39;s/&#43;a&#34;b\c&amp;d&lt;e&gt;f=g`h",
    ),
    (
        "HtmlEncoder",
        r"it&#x27;s/&#x2B;a&quot;b\c&amp;d&lt;e&gt;f=g`h",
    ),
    (
        "Handlebars",
        r"it&#x27;s/+a&quot;b\c&amp;d&lt;e&gt;f&#x3D;g&#x60;h",
    ),
    (
        "Mustache",
        r"it&#39;s&#x2F;+a&quot;b\c&amp;d&lt;e&gt;f&#x3D;g&#x60;h",
    ),
];
const ODD_SECRET: &str = "it's/+a\"b\\c&d<e>f=g`h";

#[test]
fn row_098_as_other_encoders_write_it() {
    for (who, text) in BY_OTHERS {
        let mut redactor = Redactor::new(&SecretValue::parse(ODD_SECRET).unwrap(), PLACEHOLDER);
        let mut out = redactor.push(&Bytes::from_static(text.as_bytes())).to_vec();
        out.extend_from_slice(&redactor.finish());
        assert_eq!(String::from_utf8(out).unwrap(), PLACEHOLDER, "{who}");
    }
}

#[test]
fn row_098_base64_as_others_escape_it() {
    // Its base64 has both characters that are escaped, at every alignment.
    const SECRET: &str = "~~~>>>???~~~>>>???abc";
    let escapes: &[&[(&str, &str)]] = &[
        &[("/", "\\/")],
        &[("+", "\\u002B")],
        &[("+", "\\u002b")],
        &[("+", "%2B"), ("/", "%2F")],
        &[("+", "%2b"), ("/", "%2f")],
        &[("+", "&#43;")],
        &[("+", "&#x2B;")],
        &[("/", "&#x2F;")],
    ];
    for before in ["", "x", "xy"] {
        let plain = STANDARD.encode(format!("{before}{SECRET}"));
        assert!(plain.contains('+') && plain.contains('/'));
        for escape in escapes {
            let mut text = plain.clone();
            for (from, to) in *escape {
                text = text.replace(from, to);
            }
            let mut redactor = Redactor::new(&SecretValue::parse(SECRET).unwrap(), PLACEHOLDER);
            drop(redactor.push(&Bytes::from(text.clone())));
            drop(redactor.finish());
            assert!(redactor.has_redacted(), "{text}");
        }
    }
}

#[test]
fn forms_are_few_enough_for_the_fast_search() {
    for secret in [
        "sk-proj-0123456789abcdefABCDEF0123456789",
        ODD_SECRET,
        SECRET,
    ] {
        let redactor = Redactor::new(&SecretValue::parse(secret).unwrap(), PLACEHOLDER);
        assert!(redactor.search.is_vectorised(), "{secret}");
    }
    let of = |secret| super::forms::of(secret, PLACEHOLDER).len();
    let usual = of("sk-proj-0123456789abcdefABCDEF0123456789");
    let odd = of(ODD_SECRET);
    assert!(usual <= 24 && odd <= FORMS_MAX, "{usual} and {odd}");
}

#[test]
fn what_does_not_hold_it_is_passed_on_uncopied() {
    let mut redactor = redactor();
    let piece = Bytes::from(vec![b'x'; 70_000]);
    let out = redactor.push(&piece);
    assert_eq!(out.as_ptr(), piece.as_ptr());
    assert!(redactor.is_clear() && !redactor.has_redacted());
    assert!(redactor.finish().is_empty());
}

#[test]
fn row_082_every_byte_value_survives() {
    let all: Vec<u8> = (0..=255).cycle().take(4096).collect();
    assert_eq!(redact(&[&all]), (all.clone(), false));
}

#[test]
fn row_080_an_event_is_not_held_back() {
    let mut redactor = redactor();
    let event = Bytes::from_static(b"data: {\"delta\":\"hello\"}\n\n");
    assert_eq!(redactor.push(&event), event);
    assert!(redactor.is_clear());
    let begun = Bytes::from_static(b"data: sk-can");
    assert_eq!(redactor.push(&begun), "data: ");
    assert!(!redactor.is_clear());
    assert_eq!(
        redactor.push(&Bytes::from_static(b"cel\n\n")),
        "sk-cancel\n\n"
    );
    assert!(redactor.is_clear() && !redactor.has_redacted());
}

#[test]
fn row_097_and_101_headers_and_trailers() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "x-debug",
        HeaderValue::from_str(&format!("Bearer {SECRET}")).unwrap(),
    );
    headers.insert(
        "location",
        HeaderValue::from_static("/?token=sk-canary%2F%2B0123%22%5C%26%3Cz"),
    );
    headers.insert("x-plain", HeaderValue::from_static("sk-cana"));
    let mut redactor = redactor();
    redactor.redact_headers(&mut headers);
    assert_eq!(headers["x-debug"], format!("Bearer {PLACEHOLDER}").as_str());
    assert_eq!(
        headers["location"],
        format!("/?token={PLACEHOLDER}").as_str()
    );
    assert_eq!(headers["x-plain"], "sk-cana");
    assert!(redactor.has_redacted());
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-message", HeaderValue::from_str(SECRET).unwrap());
    redactor.redact_trailers(&mut trailers);
    assert_eq!(trailers["grpc-message"], PLACEHOLDER);
}

#[test]
fn row_100_an_encoded_answer_is_refused() {
    let check = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("content-encoding", HeaderValue::from_static(value));
        }
        Redactor::check_inspectable(&headers)
            .err()
            .map(|refusal| refusal.code)
    };
    assert_eq!(check(&[]), None);
    assert_eq!(check(&["identity"]), None);
    for values in [
        &["gzip"][..],
        &["br"],
        &["zstd"],
        &["identity", "gzip"],
        &["identity, gzip"],
        &["x"],
    ] {
        assert_eq!(
            check(values),
            Some(RefusalCode::ResponseNotInspectable),
            "{values:?}"
        );
    }
}

#[test]
fn row_100_an_answer_encoded_for_the_way_is_refused() {
    for (value, is_fine) in [
        ("chunked", true),
        ("Chunked", true),
        ("gzip, chunked", false),
        ("gzip", false),
        ("chunked, gzip", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert("transfer-encoding", HeaderValue::from_static(value));
        assert_eq!(
            Redactor::check_inspectable(&headers).is_ok(),
            is_fine,
            "{value}"
        );
    }
}

#[test]
fn row_097_a_field_with_the_value_in_its_name_is_dropped() {
    let secret = "Sk-Canary0123456789";
    let mut redactor = Redactor::new(&SecretValue::parse(secret).unwrap(), PLACEHOLDER);
    let mut headers = HeaderMap::new();
    let names = [
        format!("x-{}-y", secret.to_ascii_lowercase()),
        hex::encode(secret),
        "x-plain".to_owned(),
    ];
    for name in names {
        let name: http::HeaderName = name.parse().unwrap();
        headers.insert(name, HeaderValue::from_static("1"));
    }
    redactor.redact_headers(&mut headers);
    assert!(redactor.has_redacted());
    assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-plain"]);
}

#[test]
fn row_099_cut_anywhere() {
    let text = format!("a {SECRET} b {} c", STANDARD.encode(format!("u:{SECRET}")));
    let (whole, _) = redact(&[text.as_bytes()]);
    for at in 0..text.len() {
        let (left, right) = text.as_bytes().split_at(at);
        assert_eq!(redact(&[left, right]).0, whole, "{at}");
    }
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(redact(&bytes).0, whole);
}

/// Text rich in whole and broken forms.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let forms = || {
        prop::sample::select(vec![
            SECRET.to_owned(),
            hex::encode(SECRET),
            STANDARD.encode(SECRET),
            STANDARD.encode(format!("u:{SECRET}")),
            "sk-canary%2F%2B0123%22%5C%26%3Cz".to_owned(),
            "\\u0073\\u006b".to_owned(),
            "sk-ssk-s".to_owned(),
        ])
    };
    let cut = (forms(), 0..60usize)
        .prop_map(|(form, len)| form.into_bytes().into_iter().take(len).collect());
    let whole = forms().prop_map(String::into_bytes);
    let other = prop::collection::vec(any::<u8>(), 0..8);
    prop::collection::vec(prop_oneof![cut, whole, other], 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn the_result_does_not_depend_on_the_cuts(
        text in any_text(), cuts in prop::collection::vec(0..400usize, 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
        let whole = redact(&[&text]);
        prop_assert_eq!(redact(&pieces), whole.clone());
        prop_assert!(!whole.0.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
    }

    #[test]
    fn any_secret_is_found(secret in "[!-~]{8,40}", before in "[ -~]{0,9}", after in "[ -~]{0,9}") {
        prop_assume!(!secret.contains("miosa-tok-") && !PLACEHOLDER.contains(&secret));
        let mut redactor = Redactor::new(&SecretValue::parse(&secret).unwrap(), PLACEHOLDER);
        let text = format!("{before}{secret}{after} {}", STANDARD.encode(format!("{before}{secret}{after}")));
        let mut out = redactor.push(&Bytes::from(text)).to_vec();
        out.extend_from_slice(&redactor.finish());
        prop_assert!(redactor.has_redacted());
        prop_assert!(!out.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

/// What a caller sees of a form that comes so slowly that nothing follows any of its bytes for a while.
fn dripped(secret: &str, form: &str) -> String {
    let mut redactor = Redactor::new(&SecretValue::parse(secret).unwrap(), PLACEHOLDER);
    let mut out = Vec::new();
    for byte in form.bytes().chain(*b"; and more") {
        out.extend_from_slice(&redactor.push(&Bytes::copy_from_slice(&[byte])));
        out.extend_from_slice(&redactor.let_go());
    }
    out.extend_from_slice(&redactor.finish());
    assert!(redactor.has_redacted());
    String::from_utf8(out).unwrap()
}

#[test]
fn row_071_a_short_end_goes_when_nothing_follows_and_the_rest_is_still_found() {
    for (secret, shown) in [
        ("a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7", 4),
        (SECRET, 2),
        ("s3cr3t-0", 1),
    ] {
        for form in [secret, &hex::encode(secret), &STANDARD.encode(secret)] {
            let out = dripped(secret, form);
            assert!(out.starts_with(&form[..shown]), "{out}");
            assert!(!out.starts_with(&form[..shown + 3]), "{out}");
            let rest = &form[4..form.len().min(12)];
            assert!(!out.contains(rest), "{out}");
            assert!(out.ends_with("; and more"), "{out}");
        }
    }
}

#[test]
fn what_looks_like_a_beginning_goes_when_nothing_follows() {
    let text = "tasks-s ... sk";
    let mut redactor = redactor();
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(7) {
        out.extend_from_slice(&redactor.push(&Bytes::copy_from_slice(piece)));
        out.extend_from_slice(&redactor.let_go());
    }
    assert_eq!(out, text.as_bytes());
    assert!(redactor.is_clear() && !redactor.may_let_go());
    assert_eq!(redactor.finish(), "");
}
