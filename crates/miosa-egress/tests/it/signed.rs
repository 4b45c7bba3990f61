//! AWS signatures: made with a placeholder inside, anew with the real keys outside.

use http::{Method, Request, Version};
use miosa_api::broker::{AwsScope, BindingPolicy, Place};

use crate::client::{Answer, Client, body};
use crate::provider::{Authority, Provider, text};
use crate::world::{World, audit_only, patiently};

const HOST: &str = "s3.eu-west-1.amazonaws.com";
const ID: &str = "AKIAREALREALREAL0001";
const KEY: &str = "canary-secret-key-8c1f77a2b90d4e5aa";
const TOKEN: &str = "canary-session-token-2f6b81c9d0e74c5b";
const HASH: &str = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";

fn binding(world: &World) -> BindingPolicy {
    let value =
        format!(r#"{{"AccessKeyId":"{ID}","SecretAccessKey":"{KEY}","SessionToken":"{TOKEN}"}}"#);
    let scope = AwsScope {
        services: vec!["s3".to_owned()],
        regions: vec!["eu-west-1".to_owned()],
    };
    let mut binding = world.binding_of(&value, HOST, "/v1/**");
    let methods = ["GET", "HEAD", "PUT", "POST"];
    binding.endpoints[0].methods = methods.map(str::to_owned).to_vec();
    binding.places = vec![Place::AwsHeader(scope.clone()), Place::AwsQuery(scope)];
    binding
}

/// A signature by somebody who has the placeholder alone.
fn authorization(token: &str, scope: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential={token}/20260101/{scope}/aws4_request, SignedHeaders=host;range;x-amz-date, Signature=00"
    )
}

async fn ask(
    client: &mut Client,
    method: Method,
    target: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let url = format!("https://{HOST}{target}");
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body("")).unwrap();
    let (head, body) = client.send(request).await.unwrap().into_parts();
    let text = patiently(text(body)).await;
    for value in [ID, KEY, TOKEN] {
        assert!(!text.contains(value) && !format!("{:?}", head.headers).contains(value));
    }
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_154_what_a_placeholder_signed_goes_out_with_the_real_signature() {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world.sandbox("s", audit_only(vec![binding(&world)])).await;
    let token = sandbox.placeholder();
    let signed = authorization(token, "eu-west-1/s3");
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mut client = Client::https(&sandbox, HOST, version).await;
        let before = provider.seen().len();
        let headers = [
            ("authorization", signed.as_str()),
            ("x-amz-date", "20260101T000000Z"),
            ("x-amz-content-sha256", HASH),
            ("x-amz-security-token", token),
            ("range", "bytes=0-9"),
        ];
        let answer = ask(&mut client, Method::GET, "/v1/echo?b=2&a=1", &headers).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        // The provider says what it was sent: with the placeholder where the key id was.
        assert!(answer.text.contains(token), "{answer:?}");
        let seen = provider.seen().swap_remove(before);
        let value = seen.headers["authorization"].to_str().unwrap();
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature="
        );
        assert!(value.starts_with(&expected), "{value}");
        assert!(!value.ends_with("=00"), "{value}");
        assert_eq!(seen.headers["x-amz-security-token"], TOKEN);
        assert_eq!(seen.headers["x-amz-content-sha256"], HASH);
        assert_eq!(seen.headers["range"], "bytes=0-9");
        assert_eq!(seen.target, "/v1/echo?b=2&a=1");

        let answer = ask(&mut client, Method::HEAD, "/v1/echo", &headers).await;
        assert!(answer.headers["content-length"] != "0", "{answer:?}");
    }
    let target = format!(
        "/v1/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={token}%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20260101T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
    );
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    assert_eq!(
        ask(&mut client, Method::GET, &target, &[]).await.status,
        200
    );
    let seen = provider.seen().pop().unwrap();
    assert!(
        seen.target
            .contains(&format!("X-Amz-Credential={ID}%2F2026"))
    );
    assert!(
        seen.target
            .contains(&format!("&X-Amz-Security-Token={TOKEN}&"))
    );
    assert!(!seen.target.ends_with("=00") && !seen.target.contains("miosa"));
    let events = world.audit(|events| events.len() == 5).await;
    assert!(events.iter().all(|event| event.swapped));
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn rows_154_155_what_is_not_signed_anew_is_refused_by_its_name() {
    let authority = Authority::new();
    let provider = Provider::start(&authority, HOST).await;
    let world = World::start(&authority, &[(HOST, provider.address)]).await;
    let sandbox = world.sandbox("s", audit_only(vec![binding(&world)])).await;
    let token = sandbox.placeholder();
    let mut client = Client::https(&sandbox, HOST, Version::HTTP_11).await;
    let good = authorization(token, "eu-west-1/s3");
    let (sts, other) = (
        authorization(token, "eu-west-1/sts"),
        authorization(token, "us-east-1/s3"),
    );
    let v2 = format!("AWS {token}:c2lnbmF0dXJl");
    let v4a = good.replace("HMAC-SHA256", "ECDSA-P256-SHA256");
    let date = ("x-amz-date", "20260101T000000Z");
    let chunks = ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    let form = ("content-type", "multipart/form-data; boundary=x");
    let in_query =
        format!("/v1/x?X-Amz-Credential={token}%2F20260101%2Feu-west-1%2Fs3%2Faws4_request");
    let (unsupported, scope) = ("EGRESS_SIGNATURE_NOT_SUPPORTED", "EGRESS_SIGNATURE_SCOPE");
    let required = "EGRESS_CREDENTIAL_REQUIRED";
    for (target, headers, code, said) in [
        (
            "/v1/x",
            vec![("authorization", sts.as_str()), date],
            scope,
            "service and region",
        ),
        (
            "/v1/x",
            vec![("authorization", &other), date],
            scope,
            "service and region",
        ),
        (
            "/v1/x",
            vec![("authorization", &good), date, chunks],
            unsupported,
            "signed chunks",
        ),
        (
            "/v1/x",
            vec![("authorization", &v2)],
            unsupported,
            "Version 2",
        ),
        (
            "/v1/x",
            vec![("authorization", &v4a), date],
            unsupported,
            "Version 4A",
        ),
        (
            "/v1/x",
            vec![("authorization", &good)],
            unsupported,
            "x-amz-date is missing",
        ),
        ("/v1/x", vec![form], unsupported, "POST policy"),
        (
            in_query.as_str(),
            vec![],
            unsupported,
            "X-Amz-Algorithm is missing",
        ),
        (
            &in_query,
            vec![("authorization", &good), date],
            unsupported,
            "X-Amz-Algorithm",
        ),
        (
            "/v1/x",
            vec![
                ("authorization", &good),
                date,
                ("x-amz-security-token", "own"),
            ],
            required,
            "session token",
        ),
        (
            "/v1/x",
            vec![("authorization", &good), date, ("x-other", token)],
            "EGRESS_PLACEHOLDER_MISPLACED",
            "",
        ),
        ("/v1/x?AWSAccessKeyId=own&Signature=x", vec![], required, ""),
        (
            "/elsewhere",
            vec![("authorization", &good), date],
            "EGRESS_PATH_NOT_BOUND",
            "",
        ),
    ] {
        let answer = ask(&mut client, Method::POST, target, &headers).await;
        assert_eq!(answer.code(), code, "{target} {headers:?} {answer:?}");
        assert!(answer.text.contains(said), "{answer:?}");
        assert!(!answer.text.contains(token), "{answer:?}");
    }
    assert!(provider.seen().is_empty());
}
