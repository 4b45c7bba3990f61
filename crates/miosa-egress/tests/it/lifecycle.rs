//! Policies and listeners come, change and go.

use http::{Method, StatusCode, Version};
use http_body_util::BodyExt;
use miosa_api::broker::Reveal;
use miosa_vault::OpeningKey;

use crate::client::{Client, body, request};
use crate::provider::{Authority, Provider};
use crate::sandbox::Sandbox;
use crate::world::{CANARY, World, audit_only, patiently};

const HOST: &str = "api.example.com";

async fn scene() -> (World, Sandbox, Provider) {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
        .await;
    (world, sandbox, provider)
}

fn url() -> String {
    format!("https://{HOST}/v1/echo")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_binding_ends_on_open_connections() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let (world, sandbox, provider) = scene().await;
        let mut client = Client::https(&sandbox, HOST, version).await;
        assert_eq!(
            client
                .ask("GET", &url(), sandbox.placeholder())
                .await
                .status,
            200
        );
        let mut revoked = sandbox.policy.clone();
        revoked.generation = 2;
        revoked.bindings.clear();
        world.put("s", &revoked).await.unwrap();
        let answer = client.ask("GET", &url(), sandbox.placeholder()).await;
        assert_eq!(answer.code(), "EGRESS_PLACEHOLDER_UNKNOWN");
        assert_eq!(provider.seen().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_generation_is_not_taken() {
    let (world, sandbox, _provider) = scene().await;
    let same = world.put("s", &sandbox.policy).await.unwrap();
    assert_eq!(
        (same.generation, same.ca_pem.as_str()),
        (1, sandbox.ca.as_str())
    );
    let mut other = sandbox.policy.clone();
    other.bindings.clear();
    assert_eq!(world.put("s", &other).await, Err(StatusCode::CONFLICT));
    other.generation = 0;
    assert_eq!(world.put("s", &other).await, Err(StatusCode::CONFLICT));
    other.generation = 2;
    other.tenant_id = "tenant-2".to_owned();
    assert_eq!(world.put("s", &other).await, Err(StatusCode::CONFLICT));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_sandbox_is_cut() {
    let (world, sandbox, provider) = scene().await;
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    assert_eq!(
        client
            .ask("GET", &url(), sandbox.placeholder())
            .await
            .status,
        200
    );
    let response = world
        .control(Method::DELETE, "/v1/sandboxes/s", Vec::new())
        .await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let request = request("GET", &url(), sandbox.placeholder());
    // Cut, or refused if it was quicker than the cut.
    if let Ok(answer) = client.send(request.body(body("")).unwrap()).await {
        assert_eq!(
            answer.headers()["x-miosa-refusal"],
            "EGRESS_POLICY_UNAVAILABLE"
        );
    }
    assert_eq!(provider.seen().len(), 1);
    assert!(world.status().await.sandboxes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_end_with_their_shim() {
    let (world, sandbox, _provider) = scene().await;
    assert!(world.status().await.sandboxes[0].listening);
    assert!(world.hand_over(&sandbox, 2), "a newer start takes over");
    assert!(!world.hand_over(&sandbox, 1), "an older one does not");
    // The first shim's end no longer matters, the second's does.
    drop(sandbox.shims.lock().unwrap().remove(0));
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    assert_eq!(
        client
            .ask("GET", &url(), sandbox.placeholder())
            .await
            .status,
        200
    );
    sandbox.shims.lock().unwrap().clear();
    patiently(async {
        while world.status().await.sandboxes[0].listening {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // What came in by them is cut.
    patiently(async {
        let ask = || {
            request("GET", &url(), sandbox.placeholder())
                .body(body(""))
                .unwrap()
        };
        while client.send(ask()).await.is_ok() {}
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_handoff_is_refused() {
    let (world, sandbox, _provider) = scene().await;
    let message = br#"{"sandbox_id":"s","generation":9}"#;
    let [tcp, udp, dns] = sandbox.listeners();
    assert!(
        world
            .hand_over_raw(b"not json", &sandbox.listeners())
            .is_none()
    );
    assert!(world.hand_over_raw(message, &[]).is_none());
    assert!(world.hand_over_raw(message, &[udp, tcp, dns]).is_none());
    assert!(
        world.status().await.sandboxes[0].listening,
        "the right ones are still here"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_is_still_trusted() {
    let (mut world, sandbox, _provider) = scene().await;
    let address = (sandbox.lookup(HOST), 443).into();
    let session = world
        .control_stream(Method::GET, "/v1/session", Vec::new())
        .await;
    world.stop_broker().await;
    let ended = patiently(session.into_body().collect()).await;
    assert!(
        ended.is_ok() || ended.is_err(),
        "the session's end tells the server"
    );
    sandbox.shims.lock().unwrap().clear();

    world.start_broker().await;
    let applied = world.put("s", &sandbox.policy).await.unwrap();
    assert_eq!(
        applied.ca_pem, sandbox.ca,
        "the same certificate, byte for byte"
    );
    assert!(world.hand_over(&sandbox, 1));
    // The address was looked up before the restart.
    let mut client = Client::https_at(&sandbox, address, HOST, Version::HTTP_2).await;
    assert_eq!(
        client
            .ask("GET", &url(), sandbox.placeholder())
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_not_managed_is_revealed() {
    let (world, sandbox, _provider) = scene().await;
    let sealed = sandbox.policy.bindings[0].sealed.clone();
    let ask = async |reveal: &Reveal| {
        world
            .control(
                Method::POST,
                "/v1/reveal",
                serde_json::to_vec(reveal).unwrap(),
            )
            .await
    };
    let own = ask(&Reveal {
        sealed: sealed.clone(),
    })
    .await;
    let value: serde_json::Value = serde_json::from_slice(own.body()).unwrap();
    assert_eq!(value["value"], CANARY);

    let key = OpeningKey::read(&world.config.opening_key).unwrap();
    let secret = miosa_vault::SecretValue::parse(CANARY).unwrap();
    let managed = key
        .sealing_key()
        .seal(&secret, "sec-1", "platform", 1, true)
        .unwrap();
    let mut disguised = managed.clone();
    disguised.managed = false;
    assert_eq!(
        ask(&Reveal { sealed: managed }).await.status(),
        StatusCode::FORBIDDEN
    );
    let disguised = ask(&Reveal { sealed: disguised }).await;
    assert_eq!(disguised.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!String::from_utf8_lossy(disguised.body()).contains(CANARY));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_broker_does_not_take_the_sockets() {
    let (world, _sandbox, _provider) = scene().await;
    let second = miosa_egress::run(world.config.clone(), std::future::pending());
    let error = patiently(second).await.unwrap_err();
    assert!(
        matches!(error, miosa_egress::EgressError::Socket { .. }),
        "{error}"
    );
    assert_eq!(world.status().await.sandboxes.len(), 1);
}
