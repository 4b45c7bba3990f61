//! What is asked of a bound host beside the endpoints of its credential.

use http::Version;
use miosa_api::broker::{Effect, PolicyMode, Rule};

use crate::client::Client;
use crate::provider::{Authority, Provider};
use crate::sandbox::Sandbox;
use crate::world::{World, audit_only};

const HOST: &str = "api.example.com";
const SECOND: &str = "canary-of-the-second-binding-0123456789";

async fn scene(mode: PolicyMode, rules: Vec<Rule>) -> (World, Sandbox, Provider) {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let mut second = world.binding_of(SECOND, HOST, "/v1/keep");
    second.binding_id = "bnd-2".to_owned();
    let mut policy = audit_only(vec![world.binding(HOST, "/v1/kept"), second]);
    (policy.mode, policy.rules) = (mode, rules);
    let sandbox = world.sandbox("s", policy).await;
    (world, sandbox, provider)
}

#[tokio::test(flavor = "multi_thread")]
async fn row_106_what_was_kept_is_not_given_to_who_asks_without_a_credential() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (world, sandbox, _provider) = scene(PolicyMode::AuditOnly, Vec::new()).await;
        let second = &sandbox.policy.bindings[1].placeholder;
        let mut client = Client::https(&sandbox, HOST, version).await;
        let keep = format!("https://{HOST}/v1/keep");
        assert_eq!(client.ask("POST", &keep, second).await.status, 200);
        let kept = client.ask("GET", &format!("https://{HOST}/kept"), "").await;
        assert_eq!(kept.text, format!("Bearer {second}"));
        let is_told = |event: &miosa_api::audit::AuditEvent| {
            event.path.as_deref() == Some("/kept") && event.redacted && !event.swapped
        };
        world.audit(|events| events.iter().any(is_told)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_106_the_value_of_another_binding_of_the_host_is_taken_out_too() {
    let (_world, sandbox, _provider) = scene(PolicyMode::AuditOnly, Vec::new()).await;
    let [first, second] = [0, 1].map(|at| sandbox.policy.bindings[at].placeholder.clone());
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    let keep = format!("https://{HOST}/v1/keep");
    assert_eq!(client.ask("POST", &keep, &second).await.status, 200);
    let kept = client
        .ask("GET", &format!("https://{HOST}/v1/kept"), &first)
        .await;
    assert_eq!(kept.text, format!("Bearer {second}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_allows_is_refused_under_enforce() {
    let allow = Rule {
        id: "kept".to_owned(),
        policy_id: None,
        host: HOST.to_owned(),
        effect: Effect::Allow,
        methods: vec!["GET".to_owned()],
        path: Some("/kept".to_owned()),
    };
    for (rules, code) in [(vec![], "EGRESS_HOST_NOT_ALLOWED"), (vec![allow], "none")] {
        let (_world, sandbox, provider) = scene(PolicyMode::Enforce, rules).await;
        let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
        let answer = client.ask("GET", &format!("https://{HOST}/kept"), "").await;
        let found = if answer.status == 200 {
            "none".to_owned()
        } else {
            answer.code()
        };
        assert_eq!(found, code);
        assert_eq!(provider.seen().len(), usize::from(code == "none"));
        let discovery = format!("https://{HOST}/.well-known/oauth-protected-resource");
        assert_eq!(client.ask("GET", &discovery, "").await.status, 200);
        let bound = format!("https://{HOST}/v1/kept");
        let answer = client.ask("GET", &bound, sandbox.placeholder()).await;
        assert_eq!(answer.status, 200);
    }
}
