//! An ordinary program in a sandbox: curl, with the system's own name lookup.

use std::process::Output;

use crate::provider::{Authority, Provider};
use crate::sandbox::Sandbox;
use crate::world::{CANARY, World, audit_only};

const HOST: &str = "api.example.com";

fn curl(world: &World, sandbox: &Sandbox, arguments: &[&str]) -> Output {
    let resolv_conf = world.dir.path().join("resolv.conf");
    let authority = world.dir.path().join("sandbox-ca.pem");
    fs_err::write(&resolv_conf, "nameserver 198.51.100.53\n").unwrap();
    fs_err::write(&authority, &sandbox.ca).unwrap();
    let mut command = sandbox.namespace.command(&resolv_conf, "curl");
    command
        .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
        .arg(authority);
    tokio::task::block_in_place(|| command.args(arguments).output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_looks_up_verifies_and_is_answered() {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
        .await;
    let bearer = format!("authorization: Bearer {}", sandbox.placeholder());
    let url = format!("https://{HOST}/v1/echo");
    for (protocol, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let arguments = [protocol, "-H", &bearer, "-w", "\n%{http_version}", &url];
        let output = curl(&world, &sandbox, &arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = format!("you sent: Bearer {}\n{version}", sandbox.placeholder());
        assert_eq!(
            text,
            expected,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let sent = provider.seen();
    assert_eq!(sent.len(), 2);
    assert!(
        sent.iter()
            .all(|s| s.headers["authorization"] == format!("Bearer {CANARY}").as_str())
    );

    let output = curl(&world, &sandbox, &["-i", "https://other.example.com/"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("EGRESS_UPSTREAM_NOT_FOUND"), "{text}");
    let output = curl(
        &world,
        &sandbox,
        &["http://localhost.example/", "http://metadata/"],
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("Could not resolve host: metadata"));
}

/// A refusal comes while the client still sends: the stream must not end before it is done.
#[tokio::test(flavor = "multi_thread")]
async fn curl_reads_every_refusal_of_a_post_over_http2() {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world
        .sandbox("s", audit_only(vec![world.binding(HOST, "/v1/**")]))
        .await;
    let bearer = format!("authorization: Bearer {}", sandbox.placeholder());
    let body = world.dir.path().join("body");
    fs_err::write(&body, vec![b'x'; 200_000]).unwrap();
    let data = format!("@{}", body.display());
    let url = format!("https://{HOST}/admin");
    for _ in 0..40 {
        let arguments = ["--http2", "-H", &bearer, "--data-binary", &data, &url];
        let output = curl(&world, &sandbox, &arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("EGRESS_PATH_NOT_BOUND"), "{text}{errors}");
        assert!(errors.is_empty(), "{errors}");
    }
}
