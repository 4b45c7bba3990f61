//! A policy with one binding of each kind, and requests against it.

mod compile;
mod connect;
mod explain;
mod placeholders;
mod properties;

use std::sync::{Arc, LazyLock};

use http::Request;
use http::request::Parts;
use miosa_api::broker::{
    BindingPolicy, Effect, Endpoint, Place, PolicyMode, RefusalCode, Rule, SandboxPolicy,
};
use miosa_vault::{OpeningKey, SecretValue};

use super::{CompiledPolicy, Destination, Host};
use crate::mcp::Cleared;
use crate::opened::Opened;
use crate::refusal::Refusal;
use crate::request::Received;
use crate::substitute::Substituted;

/// What must only ever be seen at its own endpoint.
pub(crate) const CANARY: &str = "canary/+0123456789\"\\&<abcdef";

static KEY: LazyLock<OpeningKey> = LazyLock::new(|| OpeningKey::generate().0);

/// Placeholders that stay the same within a test run.
pub(crate) static PLACEHOLDERS: LazyLock<[String; 4]> = LazyLock::new(|| {
    ["", "sk-ant-api03-", "ghp_", ""].map(|shape| miosa_vault::placeholder::mint(Some(shape)))
});

pub(crate) fn binding(
    index: usize,
    host: &str,
    methods: &[&str],
    path: &str,
    places: Vec<Place>,
) -> BindingPolicy {
    let id = format!("b{index}");
    let value = SecretValue::parse(CANARY).unwrap();
    BindingPolicy {
        budget: None,
        sealed: KEY.sealing_key().seal(&value, &id, "t", 1, false).unwrap(),
        binding_id: id,
        connector: format!("test/c{index}"),
        env_name: format!("TOKEN_{index}"),
        placeholder: PLACEHOLDERS[index].clone(),
        endpoints: vec![Endpoint {
            host: host.into(),
            port: 443,
            methods: methods.iter().map(ToString::to_string).collect(),
            path: path.into(),
        }],
        places,
        mcp: None,
    }
}

pub(crate) fn header(name: &str, prefix: &str) -> Place {
    Place::Header {
        name: name.into(),
        prefix: prefix.into(),
    }
}

/// One binding of each kind, on hosts `mcp.test`, `model.test`, `git.test` and `query.test`.
pub(crate) fn source() -> SandboxPolicy {
    static SOURCE: LazyLock<SandboxPolicy> = LazyLock::new(make_source);
    SOURCE.clone()
}

fn make_source() -> SandboxPolicy {
    SandboxPolicy {
        generation: 7,
        tenant_id: "t".into(),
        mode: PolicyMode::AuditOnly,
        mode_policy_id: None,
        rules: Vec::new(),
        bindings: vec![
            binding(
                0,
                "mcp.test",
                &["POST", "GET"],
                "/mcp",
                vec![header("authorization", "Bearer ")],
            ),
            binding(
                1,
                "model.test",
                &["POST"],
                "/v1/**",
                vec![header("x-api-key", ""), header("authorization", "Bearer ")],
            ),
            binding(2, "git.test", &["GET", "POST"], "/**", vec![Place::Basic]),
            binding(
                3,
                "query.test",
                &["GET"],
                "/v1/items",
                vec![Place::Query { name: "key".into() }],
            ),
        ],
    }
}

pub(crate) fn rule(host: &str, effect: Effect, methods: &[&str], path: Option<&str>) -> Rule {
    Rule {
        id: format!("{effect:?} {host}"),
        policy_id: None,
        host: host.into(),
        effect,
        methods: methods.iter().map(ToString::to_string).collect(),
        path: path.map(Into::into),
    }
}

pub(crate) fn policy() -> Arc<CompiledPolicy> {
    static POLICY: LazyLock<Arc<CompiledPolicy>> =
        LazyLock::new(|| CompiledPolicy::compile(&source(), "s").unwrap());
    Arc::clone(&POLICY)
}

pub(crate) fn https(host: &str) -> Destination {
    Destination {
        host: Host::parse(host).unwrap(),
        port: 443,
        tls: true,
    }
}

pub(crate) fn http(host: &str) -> Destination {
    Destination {
        host: Host::parse(host).unwrap(),
        port: 80,
        tls: false,
    }
}

/// A head as hyper gives it: origin form, with a Host header.
pub(crate) fn head(
    to: &Destination,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Parts {
    let mut builder = Request::builder()
        .method(method)
        .uri(target)
        .header("host", to.authority());
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

/// All stages.
pub(crate) fn run(
    policy: &Arc<CompiledPolicy>,
    to: &Destination,
    parts: Parts,
) -> Result<Substituted, Refusal> {
    let authorized = policy.authorize(Received::new(to, parts)?)?;
    let open = |binding: &BindingPolicy| {
        let secret = KEY.open(&binding.sealed)?;
        Ok(Arc::new(Opened::of_binding(secret, binding)))
    };
    let cleared = Cleared::unread(authorized).ok().expect("no rules on MCP");
    cleared.substitute(&open)
}

/// All stages of a request to the policy above; the code of the refusal.
pub(crate) fn refused(
    to: &Destination,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> RefusalCode {
    let parts = head(to, method, target, headers);
    match run(&policy(), to, parts) {
        Ok(_) => panic!("{method} {target} {headers:?} went out"),
        Err(refusal) => {
            check_says_nothing(&refusal);
            refusal.code
        }
    }
}

/// What goes out.
pub(crate) fn sent(
    to: &Destination,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Parts {
    let parts = head(to, method, target, headers);
    match run(&policy(), to, parts) {
        Ok(substituted) => substituted.into_parts(),
        Err(refusal) => panic!("{method} {target}: {refusal:?}"),
    }
}

fn check_says_nothing(refusal: &Refusal) {
    let body = String::from_utf8(refusal.to_body().to_vec()).unwrap();
    assert!(!body.contains("canary"), "{body}");
    for placeholder in PLACEHOLDERS.iter() {
        assert!(!body.contains(placeholder.as_str()), "{body}");
    }
}

pub(crate) fn bearer(index: usize) -> String {
    format!("Bearer {}", PLACEHOLDERS[index])
}
