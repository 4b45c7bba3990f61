//! Hosts without a reason to look are passed through unopened.

use http::Version;
use miosa_api::broker::{Effect, PolicyMode, Rule};

use crate::client::{self, Client, body, request};
use crate::provider::{Authority, Provider};
use crate::sandbox::Sandbox;
use crate::world::{World, audit_only, patiently};

const HOST: &str = "files.example.com";

async fn tunnelled(authority: &Authority, sandbox: &Sandbox, version: Version) -> Client {
    let stream = sandbox.connect((sandbox.lookup(HOST), 443).into());
    // The provider's own certificate arrives: nobody opened the connection.
    let roots = client::roots(authority.pem());
    let stream = client::tls(stream, HOST, roots, version).await.unwrap();
    Client::on(stream, version).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_host_is_tunnelled_and_its_tunnel_cut_when_it_is_bound() {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let mut policy = audit_only(Vec::new());
    policy.mode = PolicyMode::Enforce;
    policy.rules.push(Rule {
        id: "r1".to_owned(),
        policy_id: None,
        host: HOST.to_owned(),
        effect: Effect::Allow,
        methods: Vec::new(),
        path: None,
    });
    let sandbox = world.sandbox("s", policy.clone()).await;
    let mut client = tunnelled(&authority, &sandbox, Version::HTTP_11).await;
    let url = format!("https://{HOST}/");
    assert_eq!(client.ask("GET", &url, "").await.text, "hello");

    // A change that does not concern the host leaves the tunnel alone.
    policy.generation = 2;
    policy.bindings = vec![world.binding("else.example.com", "/v1/**")];
    world.put("s", &policy).await.unwrap();
    assert_eq!(client.ask("GET", &url, "").await.text, "hello");

    policy.generation = 3;
    policy.bindings = vec![world.binding(HOST, "/v1/**")];
    world.put("s", &policy).await.unwrap();
    let events = world
        .audit(|events| events.iter().any(|event| event.action == "reject"))
        .await;
    let event = events
        .iter()
        .find(|event| event.transport == "tunnel")
        .unwrap();
    assert_eq!(
        (event.host.as_str(), event.effect.as_str()),
        (HOST, "allow")
    );
    assert!(event.bytes_out > 100 && event.bytes_in > 100);
    let request = request("GET", &url, "").body(body("")).unwrap();
    assert!(client.send(request).await.is_err(), "the tunnel was cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_goes_through_a_tunnel() {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world.sandbox("s", audit_only(Vec::new())).await;
    let mut client = tunnelled(&authority, &sandbox, Version::HTTP_2).await;
    assert_eq!(
        client
            .ask("GET", &format!("https://{HOST}/"), "")
            .await
            .text,
        "hello"
    );
    assert_eq!(provider.seen()[0].version, Version::HTTP_2);
    drop(client);
    let events = world.audit(|events| !events.is_empty()).await;
    assert_eq!(events[0].transport, "tunnel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_cannot_be_made_is_refused_in_words() {
    let authority = Authority::new();
    let gone = std::net::TcpListener::bind("127.0.0.77:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let world = World::start(&authority, &[(HOST, gone)]).await;
    let sandbox = world.sandbox("s", audit_only(Vec::new())).await;
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    let answer = patiently(client.ask("GET", &format!("https://{HOST}/"), "")).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (502, "EGRESS_UPSTREAM_UNREACHABLE")
    );
}
