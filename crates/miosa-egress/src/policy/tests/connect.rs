use super::*;
use crate::policy::Connect;

fn decide(mode: PolicyMode, rules: Vec<Rule>, bound: bool, to: &Destination) -> String {
    let mut source = SandboxPolicy {
        mode,
        rules,
        ..source()
    };
    if !bound {
        source.bindings.clear();
    }
    match CompiledPolicy::compile(&source, "s")
        .unwrap()
        .decide_connect(to)
    {
        Connect::Deny(refusal) => refusal.code.as_str().to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_connection_is_looked_into_where_there_is_a_reason() {
    use PolicyMode::{AuditOnly, Enforce};
    let allow = || vec![rule("free.test", Effect::Allow, &[], None)];
    let deny = || {
        vec![
            rule("mcp.test", Effect::Deny, &[], None),
            rule("mcp.test", Effect::Allow, &[], None),
        ]
    };
    let path = || vec![rule("free.test", Effect::Allow, &["GET"], Some("/a/**"))];
    for (mode, rules, bound, to, expected) in [
        (AuditOnly, vec![], false, https("free.test"), "Tunnel"),
        (AuditOnly, vec![], true, https("free.test"), "Intercept"),
        (AuditOnly, vec![], true, http("free.test"), "Plain"),
        (AuditOnly, allow(), true, https("free.test"), "Tunnel"),
        (AuditOnly, path(), false, https("free.test"), "Intercept"),
        (
            Enforce,
            vec![],
            true,
            https("free.test"),
            "EGRESS_HOST_NOT_ALLOWED",
        ),
        (
            Enforce,
            vec![],
            true,
            http("free.test"),
            "EGRESS_HOST_NOT_ALLOWED",
        ),
        (Enforce, allow(), true, https("free.test"), "Tunnel"),
        (Enforce, allow(), true, http("free.test"), "Plain"),
        (Enforce, path(), true, https("free.test"), "Intercept"),
        (Enforce, vec![], true, https("mcp.test"), "Intercept"),
        (Enforce, vec![], true, http("mcp.test"), "Plain"),
        (
            AuditOnly,
            deny(),
            true,
            https("mcp.test"),
            "EGRESS_HOST_DENIED",
        ),
        (
            AuditOnly,
            deny(),
            true,
            http("mcp.test"),
            "EGRESS_HOST_DENIED",
        ),
    ] {
        assert_eq!(decide(mode, rules, bound, &to), expected, "{mode:?} {to:?}");
    }
}

#[test]
fn other_ports_need_a_rule_under_enforce() {
    let to = |port, tls, host: &str| Destination {
        port,
        tls,
        ..https(host)
    };
    let allow = || vec![rule("free.test", Effect::Allow, &[], None)];
    for (rules, to, expected) in [
        (
            vec![],
            to(8443, true, "mcp.test"),
            "EGRESS_HOST_NOT_ALLOWED",
        ),
        (allow(), to(8443, true, "free.test"), "Tunnel"),
        (allow(), to(8080, false, "free.test"), "Plain"),
        (
            vec![],
            to(8080, false, "free.test"),
            "EGRESS_HOST_NOT_ALLOWED",
        ),
    ] {
        assert_eq!(
            decide(PolicyMode::Enforce, rules, true, &to),
            expected,
            "{to:?}"
        );
    }
    let to = to(8443, true, "mcp.test");
    assert_eq!(
        decide(PolicyMode::AuditOnly, vec![], true, &to),
        "Intercept"
    );
}

#[test]
fn row_010_addresses_need_a_rule_of_their_own() {
    let range = |effect| vec![rule("10.0.0.0/8", effect, &[], None)];
    for mode in [PolicyMode::AuditOnly, PolicyMode::Enforce] {
        assert_eq!(
            decide(mode, vec![], true, &https("10.1.2.3")),
            "EGRESS_ADDRESS_LITERAL"
        );
        assert_eq!(
            decide(mode, range(Effect::Allow), true, &https("10.1.2.3")),
            "Tunnel"
        );
        assert_eq!(
            decide(mode, range(Effect::Deny), true, &https("10.1.2.3")),
            "EGRESS_HOST_DENIED"
        );
        assert_eq!(
            decide(mode, range(Effect::Allow), true, &https("11.1.2.3")),
            "EGRESS_ADDRESS_LITERAL"
        );
    }
}

#[test]
fn denied_ranges_are_known_for_resolved_addresses() {
    let mut source = source();
    source.rules = vec![
        rule("10.0.0.0/8", Effect::Deny, &[], None),
        rule("10.1.0.0/16", Effect::Allow, &[], None),
    ];
    source
        .rules
        .push(rule("192.0.2.0/24", Effect::Allow, &[], None));
    let policy = CompiledPolicy::compile(&source, "s").unwrap();
    assert!(policy.denies_address("10.1.2.3".parse().unwrap()));
    assert!(policy.denies_address("::ffff:10.1.2.3".parse().unwrap()));
    assert!(!policy.allows_address("10.1.2.3".parse().unwrap()));
    assert!(policy.allows_address("192.0.2.1".parse().unwrap()));
    assert!(!policy.allows_address("8.8.8.8".parse().unwrap()));
}

#[test]
fn rules_on_method_and_path() {
    let mut source = SandboxPolicy {
        mode: PolicyMode::Enforce,
        ..source()
    };
    source.rules = vec![
        rule("free.test", Effect::Allow, &["GET"], Some("/pub/**")),
        rule("free.test", Effect::Deny, &[], Some("/pub/secret/**")),
    ];
    let policy = CompiledPolicy::compile(&source, "s").unwrap();
    let to = https("free.test");
    for (method, path, expected) in [
        ("GET", "/pub/a", None),
        ("POST", "/pub/a", Some(RefusalCode::HostNotAllowed)),
        ("GET", "/other", Some(RefusalCode::HostNotAllowed)),
        ("GET", "/pub/secret/a", Some(RefusalCode::HostDenied)),
        ("GET", "/pub/%73ecret/a", Some(RefusalCode::HostDenied)),
        (
            "GET",
            "/pub/../pub/secret/a",
            Some(RefusalCode::PathNotCanonical),
        ),
        ("GET", "/pub//secret/a", Some(RefusalCode::PathNotCanonical)),
    ] {
        let result = run(&policy, &to, head(&to, method, path, &[]));
        assert_eq!(
            result.err().map(|refusal| refusal.code),
            expected,
            "{method} {path}"
        );
    }
}

#[test]
fn row_113_a_new_generation_judges_an_old_connection() {
    let mut source = source();
    source.rules = vec![rule("mcp.test", Effect::Deny, &[], None)];
    let policy = CompiledPolicy::compile(&source, "s").unwrap();
    let to = https("mcp.test");
    let result = run(
        &policy,
        &to,
        head(&to, "POST", "/mcp", &[("authorization", &bearer(0))]),
    );
    assert_eq!(
        result.err().map(|refusal| refusal.code),
        Some(RefusalCode::HostDenied)
    );
}

#[test]
fn cleartext_is_never_what_a_binding_is_about_on_any_port() {
    let source = SandboxPolicy {
        mode: PolicyMode::Enforce,
        ..source()
    };
    let policy = CompiledPolicy::compile(&source, "s").unwrap();
    for port in [80, 443] {
        let to = Destination {
            port,
            ..http("mcp.test")
        };
        let code = |headers: &[(&str, &str)]| {
            let result = run(&policy, &to, head(&to, "POST", "/mcp", headers));
            result.err().map(|refusal| refusal.code)
        };
        assert_eq!(code(&[]), Some(RefusalCode::HostNotAllowed));
        let placeholder = [("authorization", &*bearer(0))];
        assert_eq!(code(&placeholder), Some(RefusalCode::CleartextCredential));
        assert!(!policy.is_bound(&to));
    }
}
