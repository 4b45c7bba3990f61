//! The credential reaches the bound endpoint, and nothing of it comes back.

use http::Version;

use crate::client::Client;
use crate::provider::{Authority, Provider};
use crate::world::{CANARY, World, audit_only};

const HOST: &str = "api.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_becomes_the_credential_and_an_echo_the_placeholder() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let authority = Authority::new();
        let provider = Provider::start(&authority, HOST).await;
        let world = World::start(&authority, &[(HOST, provider.address)]).await;
        let sandbox = world
            .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
            .await;
        let mut client = Client::https(&sandbox, HOST, version).await;

        let url = format!("https://{HOST}/v1/echo?a=b");
        let answer = client.ask("GET", &url, sandbox.placeholder()).await;

        assert_eq!(answer.status, 200, "{answer:?}");
        let bearer = format!("Bearer {}", sandbox.placeholder());
        assert_eq!(answer.text, format!("you sent: {bearer}"));
        assert_eq!(answer.headers["x-echo"], bearer.as_str());
        assert!(!answer.headers.contains_key("alt-svc"));
        let seen = provider.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(
            seen[0].headers["authorization"],
            format!("Bearer {CANARY}").as_str()
        );
        assert_eq!(seen[0].headers["accept-encoding"], "identity");
        assert_eq!(seen[0].target, "/v1/echo?a=b");
        assert_eq!(seen[0].version, Version::HTTP_2, "the provider offers it");

        let events = world
            .audit(|events| events.iter().any(|event| event.redacted))
            .await;
        let event = &events[0];
        assert_eq!(
            (
                event.action.as_str(),
                event.effect.as_str(),
                event.transport.as_str()
            ),
            ("allow", "allow", "intercept")
        );
        assert_eq!((event.host.as_str(), event.port), (HOST, 443));
        assert_eq!(
            (event.method.as_deref(), event.path.as_deref()),
            (Some("GET"), Some("/v1/echo"))
        );
        assert_eq!((event.status_code, event.swapped), (200, true));
        assert_eq!(event.connector.as_deref(), Some("example/api"));
        assert_eq!(
            (event.tenant_id.as_str(), event.resource_id.as_str()),
            ("tenant-1", "s")
        );
        assert_eq!(event.policy_generation, 1);
        assert_eq!(events.len(), 1, "one event a request");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_hosts_pass_untouched() {
    let authority = Authority::new();
    let (bound, other) = tokio::join!(
        Provider::start(&authority, HOST),
        Provider::start(&authority, "other.example.com")
    );
    let hosts = [(HOST, bound.address), ("other.example.com", other.address)];
    let world = World::start(&authority, &hosts).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
        .await;
    let mut client = Client::https(&sandbox, "other.example.com", Version::HTTP_11).await;
    let answer = client
        .ask("GET", "https://other.example.com/v1/echo", "their-own")
        .await;
    assert_eq!(answer.text, "you sent: Bearer their-own");
    assert_eq!(answer.headers["content-length"], "26");
    world
        .audit(|events| {
            events
                .iter()
                .any(|event| !event.swapped && event.action == "allow")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_searched_is_refused() {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
        .await;
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    let url = format!("https://{HOST}/v1/gzip");
    let answer = client.ask("GET", &url, sandbox.placeholder()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "EGRESS_RESPONSE_NOT_INSPECTABLE")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_used_without_an_audit() {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
        .await;
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    let url = format!("https://{HOST}/v1/echo");

    fs_err::remove_file(&world.config.audit_file).unwrap();
    fs_err::create_dir(&world.config.audit_file).unwrap();
    let answer = client.ask("GET", &url, sandbox.placeholder()).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "EGRESS_AUDIT_UNAVAILABLE")
    );
    let sent = provider.seen().len();
    let answer = client.ask("GET", &url, sandbox.placeholder()).await;
    assert_eq!(answer.code(), "EGRESS_AUDIT_UNAVAILABLE");
    assert_eq!(
        provider.seen().len(),
        sent,
        "known to be broken: nothing is sent"
    );

    fs_err::remove_dir(&world.config.audit_file).unwrap();
    let answer = client.ask("GET", &url, sandbox.placeholder()).await;
    assert_eq!(answer.status, 200, "it works again");
}
