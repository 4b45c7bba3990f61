//! A policy as the server sends it, and every question that can be asked of it.

use std::sync::Arc;

use http::Request;
use miosa_api::broker::{Effect, Rule, SandboxPolicy};

use super::world::{self, BOUND, FREE};
use crate::policy::{CompiledPolicy, Connect, Destination, Host};

/// Targets every policy is asked for.
const PATHS: &[&str] = &[
    "/",
    "/mcp",
    "/v1/items",
    "/git/a/b",
    "/%6dcp",
    "/a/../b",
    "/admin",
];

/// The data is a [`SandboxPolicy`] as JSON.
pub fn policy_text(data: &[u8]) {
    let Ok(source) = serde_json::from_slice::<SandboxPolicy>(data) else {
        return;
    };
    let Ok(policy) = CompiledPolicy::compile(&source, "s") else {
        return;
    };
    let written = serde_json::to_vec(&source).expect("a policy can be written");
    let again: SandboxPolicy = serde_json::from_slice(&written).expect("and read again");
    assert_eq!(again, source, "a policy that changes when it is written");
    let stricter = denying(&source);
    for to in destinations(&source) {
        check_connect(&policy, &stricter, &to);
        for head in heads(&source, &to) {
            check_request(&source, &policy, &stricter, &to, &head);
        }
    }
}

/// The same policy with one more refusal, of what one of its rules is about.
fn denying(source: &SandboxPolicy) -> Vec<Arc<CompiledPolicy>> {
    let about = |rule: &Rule| Rule {
        effect: Effect::Deny,
        ..rule.clone()
    };
    let some = Rule {
        id: "more".into(),
        policy_id: None,
        host: "*.test".into(),
        effect: Effect::Deny,
        methods: vec!["GET".into()],
        path: Some("/mcp".into()),
    };
    let more = source.rules.iter().take(2).map(about).chain([some]);
    let with = |rule: Rule| {
        let mut stricter = source.clone();
        stricter.rules.push(rule);
        CompiledPolicy::compile(&stricter, "s").expect("one more rule of the same kind")
    };
    more.map(with).collect()
}

fn destinations(source: &SandboxPolicy) -> Vec<Destination> {
    let bound = source
        .bindings
        .iter()
        .flat_map(|binding| &binding.endpoints);
    let ruled = source
        .rules
        .iter()
        .map(|rule| (rule.host.replace("*.", "a."), 443));
    let named = bound
        .map(|endpoint| (endpoint.host.clone(), endpoint.port))
        .take(3);
    let fixed = [
        (BOUND.into(), 443),
        (FREE.into(), 8443),
        ("10.1.2.3".into(), 443),
    ];
    let all = named.chain(ruled.take(3)).chain(fixed);
    let hosts = all.filter_map(|(host, port)| Some((Host::parse(&host)?, port)));
    let both = |(host, port): (Host, u16)| {
        [true, false].map(|tls| Destination {
            host: host.clone(),
            port,
            tls,
        })
    };
    hosts.flat_map(both).collect()
}

struct Head {
    method: &'static str,
    path: String,
    token: Option<String>,
}

fn heads(source: &SandboxPolicy, to: &Destination) -> Vec<Head> {
    let bindings = source.bindings.iter().take(2);
    let own = bindings.flat_map(|binding| {
        let at = binding.endpoints.iter().take(2);
        at.map(|endpoint| {
            (
                endpoint.path.replace("**", "x"),
                Some(binding.placeholder.clone()),
            )
        })
    });
    let fixed = PATHS.iter().map(|path| ((*path).to_owned(), None));
    let all = own.chain(fixed);
    let tls = to.tls;
    all.map(|(path, token)| Head {
        method: if tls { "POST" } else { "GET" },
        path,
        token,
    })
    .collect()
}

fn parts(to: &Destination, head: &Head) -> Option<http::request::Parts> {
    let request = Request::builder().method(head.method).uri(&head.path);
    let mut request = request.header("host", to.authority());
    if let Some(token) = &head.token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    Some(request.body(()).ok()?.into_parts().0)
}

fn check_connect(policy: &CompiledPolicy, stricter: &[Arc<CompiledPolicy>], to: &Destination) {
    if matches!(policy.decide_connect(to), Connect::Deny(_)) {
        let still =
            |more: &Arc<CompiledPolicy>| matches!(more.decide_connect(to), Connect::Deny(_));
        assert!(
            stricter.iter().all(still),
            "a deny let a connection through"
        );
    }
}

fn check_request(
    source: &SandboxPolicy,
    policy: &Arc<CompiledPolicy>,
    stricter: &[Arc<CompiledPolicy>],
    to: &Destination,
    head: &Head,
) {
    let Some(parts) = parts(to, head) else { return };
    let Ok(sent) = world::judge(policy, to, parts) else {
        let refused = |more: &Arc<CompiledPolicy>| {
            super::policy_text::parts(to, head)
                .is_none_or(|parts| world::judge(more, to, parts).is_err())
        };
        assert!(stricter.iter().all(refused), "a deny let a request through");
        return;
    };
    let Some(used) = sent.binding() else { return };
    let listed = source
        .bindings
        .iter()
        .find(|binding| binding.binding_id == used.binding_id);
    let endpoints = &listed.expect("a binding of this policy").endpoints;
    let host = to.host.to_string();
    let is_at = |endpoint: &&miosa_api::broker::Endpoint| {
        endpoint.host == host
            && endpoint.port == to.port
            && endpoint.methods.iter().any(|method| method == head.method)
    };
    assert!(
        to.tls && endpoints.iter().any(|e| is_at(&e)),
        "a credential where none is listed"
    );
}
