//! The audit names what decided: the rule or mode, and the policy that is of.

use http::Version;
use miosa_api::broker::{Effect, PolicyMode, Rule};

use crate::client::Client;
use crate::provider::{Authority, Provider};
use crate::world::{World, audit_only};

const BOUND: &str = "api.example.com";
const RULED: &str = "files.example.com";
const OTHER: &str = "other.example.com";

fn rule(id: &str, host: &str, effect: Effect, methods: &[&str]) -> Rule {
    Rule {
        id: id.to_owned(),
        policy_id: Some(format!("policy-of-{id}")),
        host: host.to_owned(),
        effect,
        methods: methods.iter().map(ToString::to_string).collect(),
        path: None,
    }
}

/// Rule, policy and decision of the one event about this request.
async fn decided(world: &World, host: &str, method: &str) -> (String, String, String) {
    let is_it = |event: &miosa_api::audit::AuditEvent| {
        event.host == host && event.method.as_deref() == Some(method)
    };
    let events = world.audit(|events| events.iter().any(is_it)).await;
    let event = events.into_iter().find(is_it).unwrap();
    (
        event.effect,
        event.rule_id.unwrap_or_default(),
        event.policy_id.unwrap_or_default(),
    )
}

async fn assert_decided(mode: PolicyMode, cases: &[(&str, &str, (&str, &str, &str))]) {
    let authority = Authority::new();
    let mut hosts = Vec::new();
    let mut providers = Vec::new();
    for host in [BOUND, RULED, OTHER] {
        let provider = Provider::start(&authority, host).await;
        hosts.push((host, provider.address));
        providers.push(provider);
    }
    let world = World::start(&authority, &hosts).await;
    let mut policy = audit_only(vec![world.binding(BOUND, "/v1/echo")]);
    policy.mode = mode;
    policy.mode_policy_id = Some("policy-of-mode".to_owned());
    policy.rules = vec![
        rule("reads", RULED, Effect::Allow, &["GET"]),
        rule("deletes", RULED, Effect::Deny, &["DELETE"]),
    ];
    let sandbox = world.sandbox("s", policy).await;
    for (host, method, (effect, rule, of)) in cases {
        let mut client = Client::https(&sandbox, host, Version::HTTP_11).await;
        let token = if *host == BOUND {
            sandbox.placeholder()
        } else {
            ""
        };
        client
            .ask(method, &format!("https://{host}/v1/echo"), token)
            .await;
        let found = decided(&world, host, method).await;
        let expected = ((*effect).to_owned(), (*rule).to_owned(), (*of).to_owned());
        assert_eq!(found, expected, "{method} {host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_rule_a_binding_or_an_open_mode() {
    assert_decided(
        PolicyMode::AuditOnly,
        &[
            (RULED, "GET", ("allow", "reads", "policy-of-reads")),
            (RULED, "DELETE", ("deny", "deletes", "policy-of-deletes")),
            (OTHER, "GET", ("allow", "mode:audit_only", "policy-of-mode")),
            (BOUND, "GET", ("allow", "binding:bnd-1", "")),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_mode_that_refuses_the_rest() {
    assert_decided(
        PolicyMode::Enforce,
        &[
            (RULED, "POST", ("deny", "mode:enforce", "policy-of-mode")),
            (OTHER, "GET", ("deny", "mode:enforce", "policy-of-mode")),
        ],
    )
    .await;
}
