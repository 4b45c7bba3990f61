//! Verifies AWS signatures (version 4) of requests as they came over the wire, as S3 does: written for this, and
//! knowing nothing of the broker's way to make them.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::provider::{Asked, header};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Keys of this run.
pub struct Keys {
    /// Access key id.
    pub id: String,
    /// Secret access key.
    pub secret: String,
}

/// A signature as a request states it.
struct Stated {
    credential: String,
    time: String,
    signed: String,
    signature: String,
    payload: String,
}

impl Keys {
    /// Fresh ones.
    #[must_use]
    pub fn generate() -> Self {
        let random = || Uuid::new_v4().simple().to_string();
        Self {
            id: format!("AKIA{}", random().to_uppercase()),
            secret: format!("{}/{}+", random(), random()),
        }
    }

    /// As the AWS CLI prints them.
    #[must_use]
    pub fn json(&self) -> String {
        json!({"AccessKeyId": self.id, "SecretAccessKey": self.secret}).to_string()
    }

    /// Whether these keys signed a request.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn verify(&self, asked: &Asked) -> Result<(), &'static str> {
        let mut words = asked.head.lines().next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let stated = stated(asked, query).ok_or("no signature")?;
        let scope = stated.credential.strip_prefix(&format!("{}/", self.id));
        let scope = scope.ok_or("nobody has this key id")?;
        let is_left_out = |line: &&str| {
            let name = line.split(':').next().unwrap_or_default().to_lowercase();
            name.starts_with("x-amz-") && !stated.signed.split(';').any(|one| one == name)
        };
        if asked.head.lines().skip(1).any(|line| is_left_out(&line)) {
            return Err("a header is not signed");
        }
        let is_hash = stated.payload.len() == 64;
        if is_hash && stated.payload != hex::encode(Sha256::digest(&asked.body)) {
            return Err("the payload has another hash");
        }
        let mut canonical = format!("{method}\n{path}\n{}\n", in_order(query));
        for name in stated.signed.split(';') {
            let value = header(&asked.head, name).ok_or("a signed header is not there")?;
            canonical += &format!("{name}:{value}\n");
        }
        canonical += &format!("\n{}\n{}", stated.signed, stated.payload);
        let hash = hex::encode(Sha256::digest(canonical.as_bytes()));
        let text = format!("{ALGORITHM}\n{}\n{scope}\n{hash}", stated.time);
        let first = format!("AWS4{}", self.secret).into_bytes();
        let key = scope.split('/').fold(first, |key, word| mac(&key, word));
        if hex::encode(mac(&key, &text)) == stated.signature {
            Ok(())
        } else {
            Err("another signature")
        }
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn stated(asked: &Asked, query: &str) -> Option<Stated> {
    let payload = header(&asked.head, "x-amz-content-sha256");
    if let Some(value) = header(&asked.head, "authorization") {
        let fields = value.strip_prefix(ALGORITHM)?.trim().split(", ");
        let fields: BTreeMap<&str, &str> =
            fields.filter_map(|field| field.split_once('=')).collect();
        return Some(Stated {
            credential: (*fields.get("Credential")?).to_owned(),
            time: header(&asked.head, "x-amz-date")?.to_owned(),
            signed: (*fields.get("SignedHeaders")?).to_owned(),
            signature: (*fields.get("Signature")?).to_owned(),
            payload: payload?.to_owned(),
        });
    }
    let pairs: BTreeMap<&str, &str> = query.split('&').filter_map(|p| p.split_once('=')).collect();
    let plain = |name: &str| Some(pairs.get(name)?.replace("%2F", "/").replace("%3B", ";"));
    Some(Stated {
        credential: plain("X-Amz-Credential")?,
        time: plain("X-Amz-Date")?,
        signed: plain("X-Amz-SignedHeaders")?,
        signature: plain("X-Amz-Signature")?,
        payload: payload.unwrap_or("UNSIGNED-PAYLOAD").to_owned(),
    })
}

/// All but the signature. The callers here escape as AWS does.
fn in_order(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<String> = pairs
        .filter(|pair| !pair.starts_with("X-Amz-Signature="))
        .map(|pair| {
            if pair.contains('=') {
                pair.to_owned()
            } else {
                format!("{pair}=")
            }
        })
        .collect();
    pairs.sort_unstable();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// AWS's own example of a request with a header besides.
    #[test]
    fn the_specifications_example_is_signed_and_nothing_near_it_is() {
        let keys = Keys {
            id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        };
        let head = "GET /test.txt HTTP/1.1\r\nHost: examplebucket.s3.amazonaws.com\r\n\
            Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
            SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, \
            Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\r\n\
            Range: bytes=0-9\r\nx-amz-date: 20130524T000000Z\r\n\
            x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r\n\r\n";
        let asked = |head: &str, body: &str| Asked {
            server: "s3",
            head: head.to_owned(),
            body_len: 0,
            body: body.as_bytes().to_vec(),
            beside: Vec::new(),
        };
        assert_eq!(keys.verify(&asked(head, "")), Ok(()));
        for (from, to) in [
            ("/test.txt", "/test.tx"),
            ("bytes=0-9", "bytes=0-8"),
            ("us-east-1", "us-east-2"),
            ("7EXAMPLE", "8EXAMPLE"),
            ("\r\n\r\n", "\r\nx-amz-meta-a: b\r\n\r\n"),
        ] {
            assert!(
                keys.verify(&asked(&head.replace(from, to), "")).is_err(),
                "{to}"
            );
        }
        assert!(keys.verify(&asked(head, "x")).is_err());
        assert!(
            keys.verify(&asked("GET / HTTP/1.1\r\nhost: a\r\n\r\n", ""))
                .is_err()
        );
    }
}
