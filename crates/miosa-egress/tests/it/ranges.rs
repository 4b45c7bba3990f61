//! A rule about a range of addresses holds for names that resolve into it.

use http::Version;
use miosa_api::broker::{Effect, Rule};

use crate::client::{self, Client, body, request};
use crate::provider::{Authority, Provider, text};
use crate::sandbox::Sandbox;
use crate::world::{World, audit_only, patiently};

const BOUND: &str = "api.example.com";
const FREE: &str = "files.example.com";

struct Scene {
    authority: Authority,
    world: World,
    sandbox: Sandbox,
    bound: Provider,
    free: Provider,
    plain: Provider,
}

fn rule(host: &str, effect: Effect) -> Rule {
    Rule {
        id: format!("about-{host}"),
        policy_id: None,
        host: host.to_owned(),
        effect,
        methods: Vec::new(),
        path: None,
    }
}

async fn scene(rules: Vec<Rule>) -> Scene {
    let authority = Authority::new();
    let bound = Provider::start(&authority, BOUND).await;
    let free = Provider::start(&authority, FREE).await;
    let plain = Provider::start_plain().await;
    let hosts = [
        (BOUND, bound.address),
        (FREE, free.address),
        ("files.example.com:80", plain.address),
    ];
    let world = World::start(&authority, &hosts).await;
    let mut policy = audit_only(vec![world.binding(BOUND, "/v1/**")]);
    policy.rules = rules;
    let sandbox = world.sandbox("s", policy).await;
    Scene {
        authority,
        world,
        sandbox,
        bound,
        free,
        plain,
    }
}

impl Scene {
    /// Puts a further policy in force that refuses the providers' range.
    async fn deny(&self) {
        let mut policy = self.sandbox.policy.clone();
        policy.generation = 2;
        policy.rules.push(rule("127.0.0.64/26", Effect::Deny));
        self.world.put("s", &policy).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_a_denied_range_are_not_dialled() {
    let allowed = rule(FREE, Effect::Allow);
    let scene = scene(vec![allowed, rule("127.0.0.64/26", Effect::Deny)]).await;
    let placeholder = scene.sandbox.placeholder();
    let mut intercepted = Client::https(&scene.sandbox, BOUND, Version::HTTP_2).await;
    let mut tunnelled = Client::https(&scene.sandbox, FREE, Version::HTTP_11).await;
    let mut plain = Client::http(&scene.sandbox, FREE).await;
    for (client, url, token) in [
        (
            &mut intercepted,
            format!("https://{BOUND}/v1/echo"),
            placeholder,
        ),
        (&mut tunnelled, format!("https://{FREE}/"), ""),
        (&mut plain, format!("http://{FREE}/"), ""),
    ] {
        let answer = client.ask("GET", &url, token).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "EGRESS_HOST_DENIED"),
            "{url}"
        );
    }
    for provider in [&scene.bound, &scene.free, &scene.plain] {
        assert_eq!(provider.connections(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_denied_range_is_about_pooled_connections_too() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let scene = scene(Vec::new()).await;
        let url = format!("https://{BOUND}/v1/events");
        let mut client = Client::https(&scene.sandbox, BOUND, version).await;
        let events = request("GET", &url, scene.sandbox.placeholder());
        let events = client.send(events.body(body("")).unwrap()).await.unwrap();
        let mut other = Client::https(&scene.sandbox, BOUND, version).await;
        let url = format!("https://{BOUND}/v1/echo");
        let answer = other.ask("GET", &url, scene.sandbox.placeholder()).await;
        assert_eq!(answer.status, 200);

        scene.deny().await;
        let answer = other.ask("GET", &url, scene.sandbox.placeholder()).await;
        assert_eq!(answer.code(), "EGRESS_HOST_DENIED");
        // What was let in goes on to its end.
        scene.bound.end_events();
        let whole = patiently(text(events.into_body())).await;
        assert_eq!(whole, "data: first\n\ndata: last\n\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_denied_range_cuts_a_tunnel() {
    let scene = scene(vec![rule(FREE, Effect::Allow)]).await;
    let stream = scene
        .sandbox
        .connect((scene.sandbox.lookup(FREE), 443).into());
    let roots = client::roots(scene.authority.pem());
    let stream = client::tls(stream, FREE, roots, Version::HTTP_11)
        .await
        .unwrap();
    let mut client = Client::on(stream, Version::HTTP_11).await;
    let url = format!("https://{FREE}/");
    assert_eq!(client.ask("GET", &url, "").await.text, "hello");
    scene.deny().await;
    let cut = |event: &miosa_api::audit::AuditEvent| event.action == "reject";
    scene.world.audit(|events| events.iter().any(cut)).await;
    let request = request("GET", &url, "").body(body("")).unwrap();
    assert!(client.send(request).await.is_err(), "the tunnel was cut");
}
