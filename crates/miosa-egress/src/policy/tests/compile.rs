use super::*;
use crate::policy::PolicyError;

fn compile(change: impl FnOnce(&mut SandboxPolicy)) -> Result<Arc<CompiledPolicy>, PolicyError> {
    let mut source = source();
    change(&mut source);
    CompiledPolicy::compile(&source, "s")
}

#[test]
fn a_good_policy_keeps_what_it_was_sent() {
    let policy = compile(|_| {}).unwrap();
    assert_eq!(
        (policy.generation(), policy.tenant_id(), policy.sandbox_id()),
        (7, "t", "s")
    );
    assert_eq!(policy.bindings().count(), 4);
}

#[test]
fn row_054_headers_that_carry_no_credential() {
    for name in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "cookie",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "upgrade",
        ":authority",
        ":path",
        "X-Upper",
        "x y",
        "",
        "range",
        "sec-websocket-protocol",
        "x-forwarded-for",
    ] {
        let result = compile(|source| source.bindings[0].places = vec![header(name, "")]);
        assert!(matches!(result, Err(PolicyError::Place { .. })), "{name}");
    }
    for prefix in ["Bearer \r\nx: ", "\0", " ", "é"] {
        let result =
            compile(|source| source.bindings[0].places = vec![header("authorization", prefix)]);
        assert!(
            matches!(result, Err(PolicyError::Place { .. })),
            "{prefix:?}"
        );
    }
}

#[test]
fn row_013_hosts_of_bindings_are_in_their_one_spelling() {
    for host in [
        "MCP.test",
        "mcp.test.",
        "bücher.test",
        "*.test",
        "10.0.0.1",
        "",
        "mcp.test:443",
        "a b",
    ] {
        let result = compile(|source| source.bindings[0].endpoints[0].host = host.into());
        assert!(
            matches!(result, Err(PolicyError::Endpoint { .. })),
            "{host}"
        );
    }
}

#[test]
fn endpoints_have_plain_methods_and_paths() {
    for methods in [
        vec![],
        vec!["get"],
        vec!["TRACE"],
        vec!["CONNECT"],
        vec!["GE T"],
        vec![""],
    ] {
        let methods: Vec<String> = methods.into_iter().map(Into::into).collect();
        let result = compile(|source| source.bindings[0].endpoints[0].methods = methods);
        assert!(matches!(result, Err(PolicyError::Endpoint { .. })));
    }
    for path in ["", "mcp", "/a/../b", "/**/x", "/a%2fb"] {
        let result = compile(|source| source.bindings[0].endpoints[0].path = path.into());
        assert!(
            matches!(result, Err(PolicyError::Endpoint { .. })),
            "{path}"
        );
    }
}

#[test]
fn row_055_bindings_for_the_same_requests() {
    let overlap = |path: &str, method: &str, place: Place| {
        compile(|source| {
            source.bindings[3] = binding(3, "mcp.test", &[method], path, vec![place]);
        })
    };
    let same = header("authorization", "Bearer ");
    assert!(matches!(
        overlap("/mcp", "POST", same.clone()),
        Err(PolicyError::Overlap { .. })
    ));
    assert!(matches!(
        overlap("/**", "GET", same.clone()),
        Err(PolicyError::Overlap { .. })
    ));
    assert!(matches!(
        overlap("/*", "GET", Place::Basic),
        Err(PolicyError::Overlap { .. })
    ));
    assert!(overlap("/mcp/x", "POST", same.clone()).is_ok());
    assert!(overlap("/mcp", "DELETE", same).is_ok());
    assert!(overlap("/mcp", "POST", header("x-other", "")).is_ok());
}

#[test]
fn two_bindings_never_share_a_placeholder() {
    let result =
        compile(|source| source.bindings[1].placeholder = source.bindings[0].placeholder.clone());
    assert!(matches!(result, Err(PolicyError::Overlap { .. })));
}

#[test]
fn what_cannot_be_obeyed_is_an_error() {
    assert!(matches!(
        compile(|s| s.bindings[0].placeholder.push('0')),
        Err(PolicyError::Placeholder { .. })
    ));
    assert!(matches!(
        compile(|s| s.bindings[0].places.clear()),
        Err(PolicyError::Nowhere { .. })
    ));
    assert!(matches!(
        compile(|s| s.bindings[0].endpoints.clear()),
        Err(PolicyError::Nowhere { .. })
    ));
    for (host, path) in [
        ("*", None),
        ("a b", None),
        ("a.test", Some("x")),
        ("a.test", Some("/../x")),
    ] {
        let result = compile(|source| source.rules.push(rule(host, Effect::Deny, &[], path)));
        assert!(
            matches!(result, Err(PolicyError::Rule { .. })),
            "{host} {path:?}"
        );
    }
}
