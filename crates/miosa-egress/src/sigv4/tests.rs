use http::Request;
use miosa_vault::SecretValue;

use super::*;

const HOST: &str = "examplebucket.s3.amazonaws.com";
const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn keys(token: Option<&str>) -> AwsKeys {
    let value = serde_json::json!({
        "AccessKeyId": ID, "SecretAccessKey": KEY, "SessionToken": token,
    });
    AwsKeys::parse(&SecretValue::parse(&value.to_string()).unwrap())
        .ok()
        .unwrap()
}

fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

/// As a client writes it that signs with the placeholder.
fn authorization(scope: &str, signed: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=token/{scope}, SignedHeaders={signed}, Signature=00")
}

fn sign(parts: &mut Parts, place: Where, host: &str, token: Option<&str>) {
    let stated = Stated::read(parts, place).unwrap().unwrap();
    assert_eq!(stated.access_key, "token");
    stated.sign(parts, host, &keys(token)).unwrap();
}

fn problem(parts: &Parts, place: Where) -> Problem {
    Stated::read(parts, place).unwrap().unwrap_err()
}

/// AWS's own examples for S3 ("Authenticating requests: using the Authorization header").
#[test]
fn row_154_signatures_are_those_of_the_specification() {
    let scope = "20130524/us-east-1/s3/aws4_request";
    let empty = stated::Payload::Empty.text().to_owned();
    let put = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    let rows = [
        (
            "GET",
            "/test.txt",
            &empty[..],
            &[("range", "bytes=0-9")][..],
            "host;range;x-amz-content-sha256;x-amz-date",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            put,
            &[
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            "/?lifecycle",
            &empty,
            &[],
            "host;x-amz-content-sha256;x-amz-date",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            "/?max-keys=2&prefix=J",
            &empty,
            &[],
            "host;x-amz-content-sha256;x-amz-date",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ];
    for (method, target, payload, more, signed, expected) in rows {
        let value = authorization(scope, signed);
        let always = [
            ("authorization", value.as_str()),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", payload),
        ];
        let mut parts = head(method, target, &[&always, more].concat());
        sign(&mut parts, Where::Header, HOST, None);
        let text = format!(
            "AWS4-HMAC-SHA256 Credential={ID}/{scope}, SignedHeaders={signed}, Signature={expected}"
        );
        let value = &parts.headers["authorization"];
        assert_eq!(value, text.as_str(), "{method} {target}");
        assert!(value.is_sensitive());
        assert_eq!(parts.uri, target);
    }
}

/// The same page's example of an address that is signed.
#[test]
fn row_154_a_presigned_address_is_that_of_the_specification() {
    let target = |id: &str, signature: &str| {
        format!(
            "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={id}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
        )
    };
    let mut parts = head("GET", &target("token", "00"), &[]);
    sign(&mut parts, Where::Query, HOST, None);
    let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert_eq!(parts.uri.to_string(), target(ID, expected));
    // A token is part of what is signed, and the client's own is gone.
    let with_token = format!("{}&X-Amz-Security-Token=token", target("token", "00"));
    let mut parts = head("GET", &with_token, &[("x-amz-security-token", "token")]);
    sign(&mut parts, Where::Query, HOST, Some("Fwo+/="));
    let text = parts.uri.to_string();
    assert_eq!(text.matches("X-Amz-Security-Token=Fwo%2B%2F%3D").count(), 1);
    assert!(
        !text.contains("token") && !text.contains(expected),
        "{text}"
    );
    assert!(parts.headers.is_empty());
}

#[test]
fn row_154_what_is_not_sent_is_not_signed_and_all_of_amazons_is() {
    let value = authorization(
        "20130524/eu-west-1/s3/aws4_request",
        "connection;expect;gone;host;x-amz-date",
    );
    let mut parts = head(
        "PUT",
        "/b/k",
        &[
            ("authorization", &value),
            ("connection", "close"),
            ("expect", "100-continue"),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            ("x-amz-security-token", "token"),
        ],
    );
    sign(&mut parts, Where::Header, HOST, Some("FwoGZXIvYXdzE"));
    let value = parts.headers["authorization"].to_str().unwrap();
    let signed =
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-trailer,";
    assert!(value.contains(signed), "{value}");
    assert_eq!(parts.headers["x-amz-security-token"], "FwoGZXIvYXdzE");
    let mut parts = head(
        "GET",
        "/b/k",
        &[
            (
                "authorization",
                &authorization("20130524/eu-west-1/s3/aws4_request", "host"),
            ),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-security-token", "token"),
        ],
    );
    sign(&mut parts, Where::Header, HOST, None);
    assert!(!parts.headers.contains_key("x-amz-security-token"));
}

#[test]
fn row_154_every_other_way_has_its_name() {
    let scope = "20130524/us-east-1/s3/aws4_request";
    let value = authorization(scope, "host");
    let with_payload = |payload: &str| {
        let headers = [
            ("authorization", value.as_str()),
            ("x-amz-date", "20130524T000000Z"),
            ("x-amz-content-sha256", payload),
        ];
        head("PUT", "/b/k", &headers)
    };
    for (payload, name) in [
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            "a payload in signed chunks",
        ),
        (
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            "a payload in signed chunks",
        ),
        (
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
            "AWS Signature Version 4A",
        ),
    ] {
        let found = problem(&with_payload(payload), Where::Header);
        assert_eq!(found, Problem::Foreign(name), "{payload}");
    }
    let found = problem(&with_payload("HOPEFULLY-FINE"), Where::Header);
    assert_eq!(found, Problem::Part("x-amz-content-sha256"));
    let v2 = Some("AWS Signature Version 2");
    let v4a = Some("AWS Signature Version 4A");
    for (target, headers, name) in [
        ("/", &[("authorization", "AWS token:sig")][..], v2),
        ("/?AWSAccessKeyId=token&Signature=x&Expires=1", &[], v2),
        (
            "/",
            &[(
                "authorization",
                "AWS4-ECDSA-P256-SHA256 Credential=token/1/s3/aws4_request",
            )],
            v4a,
        ),
        ("/?X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256", &[], v4a),
        ("/", &[("x-amz-region-set", "*")], v4a),
        ("/", &[("authorization", &value)], None),
    ] {
        let parts = head("GET", target, headers);
        assert_eq!(foreign_signature(&parts), name, "{target} {headers:?}");
    }
}

#[test]
fn row_154_what_is_unreadable_is_named() {
    let scope = "20130524/us-east-1/s3/aws4_request";
    let good = authorization(scope, "host");
    let date = ("x-amz-date", "20130524T000000Z");
    let other_day = good.replace("20130524", "20130525");
    let twice = good.replace("Signature", "Credential=token/x, Signature");
    let short = good.replace("/aws4_request", "");
    for (value, more, part) in [
        (&good, &[][..], "x-amz-date"),
        (&good, &[("x-amz-date", "Fri, 24 May")], "the date"),
        (&good, &[date, date], "x-amz-date"),
        (&other_day, &[date], "the date"),
        (&twice, &[date], "Credential"),
        (&short, &[date], "Credential"),
        (
            &good,
            &[date, ("content-length", "3")],
            "x-amz-content-sha256",
        ),
        (
            &good,
            &[date, ("transfer-encoding", "chunked")],
            "x-amz-content-sha256",
        ),
    ] {
        let headers = [&[("authorization", value.as_str())], more].concat();
        let parts = head("POST", "/", &headers);
        assert_eq!(
            problem(&parts, Where::Header),
            Problem::Part(part),
            "{headers:?}"
        );
    }
    let all = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=token%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    assert!(
        Stated::read(&head("GET", &format!("/?{all}"), &[]), Where::Query)
            .unwrap()
            .is_ok()
    );
    for (from, to, part) in [
        ("X-Amz-Signature=00", "", "X-Amz-Signature"),
        ("X-Amz-Date=", "X-Amz-Date=1&X-Amz-Date=", "X-Amz-Date"),
        ("SHA256", "MD5", "X-Amz-Algorithm"),
        ("us-east-1%2F", "", "Credential"),
        ("=host", "=host;range", "X-Amz-Algorithm"),
    ] {
        let parts = head("GET", &format!("/?{}", all.replacen(from, to, 1)), &[]);
        assert_eq!(problem(&parts, Where::Query), Problem::Part(part), "{to}");
    }
}
