//! What is said of a request is what becomes of it.

use miosa_api::broker::{Effect, PolicyMode, SandboxPolicy};

use super::super::explain::{Question, QuestionError};
use super::*;

fn explain(policy: &SandboxPolicy, method: &str, url: &str) -> miosa_api::egress::Explanation {
    let policy = CompiledPolicy::compile(policy, "s").unwrap();
    policy.explain(&Question::parse(method, url).unwrap(), |_| Ok(()))
}

/// Rules of every kind beside the bindings.
fn ruled(mode: PolicyMode) -> SandboxPolicy {
    SandboxPolicy {
        mode,
        rules: vec![
            rule("*.open.test", Effect::Allow, &[], None),
            rule("shut.open.test", Effect::Deny, &[], None),
            rule("part.test", Effect::Allow, &["GET"], Some("/pub/**")),
            rule("198.51.100.0/24", Effect::Allow, &[], None),
        ],
        ..source()
    }
}

/// Method, address, code, what decides, how it goes.
type Case = (
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static str,
    Option<&'static str>,
);

const CASES: &[Case] = &[
    (
        "GET",
        "https://a.open.test/",
        None,
        "Allow *.open.test",
        Some("tunnel"),
    ),
    (
        "GET",
        "http://a.open.test/",
        None,
        "Allow *.open.test",
        Some("http"),
    ),
    (
        "GET",
        "https://shut.open.test/",
        Some("EGRESS_HOST_DENIED"),
        "Deny shut.open.test",
        None,
    ),
    (
        "GET",
        "https://other.test/",
        Some("EGRESS_HOST_NOT_ALLOWED"),
        "mode:enforce",
        None,
    ),
    (
        "GET",
        "https://part.test/pub/x",
        None,
        "Allow part.test",
        Some("intercept"),
    ),
    (
        "PUT",
        "https://part.test/pub/x",
        Some("EGRESS_HOST_NOT_ALLOWED"),
        "mode:enforce",
        None,
    ),
    (
        "GET",
        "https://198.51.100.7/",
        None,
        "Allow 198.51.100.0/24",
        Some("tunnel"),
    ),
    (
        "GET",
        "https://203.0.113.7/",
        Some("EGRESS_ADDRESS_LITERAL"),
        "built-in:address-literal",
        None,
    ),
    (
        "POST",
        "https://mcp.test/mcp",
        None,
        "binding:b0",
        Some("intercept"),
    ),
    (
        "POST",
        "https://git.test/r.git/info?x=1",
        None,
        "binding:b2",
        Some("intercept"),
    ),
    (
        "GET",
        "https://query.test/v1/items?x=1",
        None,
        "binding:b3",
        Some("intercept"),
    ),
    (
        "POST",
        "https://mcp.test/a/../mcp",
        Some("EGRESS_PATH_NOT_CANONICAL"),
        "built-in:path-not-canonical",
        None,
    ),
    (
        "TRACE",
        "https://mcp.test/mcp",
        Some("EGRESS_METHOD_NOT_BOUND"),
        "built-in:method-not-bound",
        None,
    ),
];

#[test]
fn each_answer_names_what_decided() {
    let policy = ruled(PolicyMode::Enforce);
    for (method, url, code, decided, how) in CASES {
        let answer = explain(&policy, method, url);
        assert_eq!(answer.code.as_deref(), *code, "{method} {url}: {answer:?}");
        assert_eq!(answer.rule, *decided, "{method} {url}");
        assert_eq!(answer.transport.as_deref(), *how, "{method} {url}");
        assert_eq!(answer.decision == Effect::Allow, code.is_none());
        let text = serde_json::to_string(&answer).unwrap();
        assert!(
            PLACEHOLDERS.iter().all(|p| !text.contains(p.as_str())),
            "{text}"
        );
    }
    let answer = explain(&ruled(PolicyMode::AuditOnly), "GET", "https://other.test/");
    assert_eq!(
        (answer.decision, answer.rule.as_str()),
        (Effect::Allow, "mode:audit_only")
    );
}

#[test]
fn a_credential_of_the_host_is_judged_beside_the_request() {
    let answer = explain(
        &ruled(PolicyMode::Enforce),
        "POST",
        "https://mcp.test/elsewhere",
    );
    assert_eq!((answer.decision, &answer.binding), (Effect::Deny, &None));
    assert_eq!(answer.code.as_deref(), Some("EGRESS_HOST_NOT_ALLOWED"));
    assert_eq!(answer.allowed, ["POST,GET https://mcp.test/mcp"]);
    let with = &answer.credentials[0];
    assert_eq!(
        with.code.as_deref(),
        Some("EGRESS_PATH_NOT_BOUND"),
        "{answer:?}"
    );

    let answer = explain(
        &ruled(PolicyMode::Enforce),
        "POST",
        "https://model.test/v1/messages",
    );
    let binding = answer.binding.unwrap();
    assert_eq!(
        (binding.id.as_str(), binding.env_name.as_str()),
        ("b1", "TOKEN_1")
    );
    assert_eq!(answer.credentials[0].decision, Effect::Allow);
}

#[test]
fn a_refusal_says_what_is_allowed_and_how_to_ask() {
    let answer = explain(&ruled(PolicyMode::Enforce), "GET", "https://other.test/");
    let hint = answer.hint.unwrap();
    assert!(
        hint.contains("miosa sandbox network allow s other.test"),
        "{hint}"
    );
    assert!(
        answer.allowed.contains(&"*.open.test".to_owned()),
        "{:?}",
        answer.allowed
    );
    let answer = explain(
        &ruled(PolicyMode::Enforce),
        "PUT",
        "https://part.test/pub/x",
    );
    assert_eq!(answer.allowed, ["GET part.test/pub/**"]);
}

#[test]
fn what_is_no_request_is_no_question() {
    for url in [
        "",
        "/x",
        "mcp.test",
        "ftp://mcp.test/",
        "https://",
        "https://u:p@mcp.test/",
        "https://a b/",
        "https://2130706433/",
    ] {
        assert_eq!(
            Question::parse("GET", url).unwrap_err(),
            QuestionError::Url,
            "{url}"
        );
    }
    assert_eq!(
        Question::parse("G T", "https://a.test/").unwrap_err(),
        QuestionError::Method
    );
}
