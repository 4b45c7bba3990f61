//! AWS Signature Version 4: reads what a client signed with its placeholder, and signs the same anew with the real
//! keys. The client's own signature is never looked at: it was made with nothing secret.
//!
//! INVARIANT: what is signed is what is sent. Signing comes last, over the head as it goes out, and the body keeps the
//! payload hash that the client stated in the head; a body whose hash is stated nowhere is refused, as nobody could
//! sign it without holding it back.
//!
//! Every other way of signing is refused by its name, so that nothing leaves with a signature that cannot be right.

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use miosa_vault::AwsKeys;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

mod canonical;
mod stated;

pub(crate) use stated::{Problem, Stated, Where, foreign_signature, names_token};

/// The one algorithm.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Header and query parameter of temporary keys' tokens.
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-amz-security-token");
pub(crate) const TOKEN_PARAMETER: &str = "X-Amz-Security-Token";
/// Query parameters of a presigned address.
pub(crate) const CREDENTIAL_PARAMETER: &str = "X-Amz-Credential";
pub(crate) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";
/// What needs no escape in a signed query.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Why a head could not be signed: a value that no header can carry.
#[derive(Debug)]
pub(crate) struct NotSigned;

impl Stated {
    /// Signs a head, which must be as it will be sent to `host`, with the real keys.
    pub fn sign(&self, parts: &mut Parts, host: &str, keys: &AwsKeys) -> Result<(), NotSigned> {
        match self.place {
            Where::Header => self.sign_header(parts, host, keys),
            Where::Query => self.sign_query(parts, host, keys),
        }
    }

    fn sign_header(&self, parts: &mut Parts, host: &str, keys: &AwsKeys) -> Result<(), NotSigned> {
        parts.headers.remove(&AUTHORIZATION);
        parts.headers.remove(&TOKEN_HEADER);
        if let Some(token) = keys.session_token() {
            parts.headers.insert(&TOKEN_HEADER, sensitive(token)?);
        }
        let names = self.names(&parts.headers);
        let signature = self.signature(parts, host, &names, keys);
        let text = Zeroizing::new(format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={signature}",
            keys.access_key_id(),
            self.scope(),
            names.join(";"),
        ));
        parts.headers.insert(AUTHORIZATION, sensitive(&text)?);
        Ok(())
    }

    fn sign_query(&self, parts: &mut Parts, host: &str, keys: &AwsKeys) -> Result<(), NotSigned> {
        parts.headers.remove(&TOKEN_HEADER);
        let names = self.names(&parts.headers);
        let encoded = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
        let credential = format!("{}/{}", keys.access_key_id(), self.scope());
        let ours = |name: &str| match name {
            CREDENTIAL_PARAMETER => Some(Some(format!("{name}={}", encoded(&credential)))),
            "X-Amz-SignedHeaders" => Some(Some(format!("{name}={}", encoded(&names.join(";"))))),
            SIGNATURE_PARAMETER | TOKEN_PARAMETER => Some(None),
            _ => None,
        };
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs: Vec<String> = (query.split('&').filter(|pair| !pair.is_empty()))
            .filter_map(|pair| {
                let name = pair.split_once('=').map_or(pair, |(name, _)| name);
                ours(&crate::policy::decoded(name)).unwrap_or_else(|| Some(pair.to_owned()))
            })
            .collect();
        if let Some(token) = keys.session_token() {
            pairs.push(format!("{TOKEN_PARAMETER}={}", encoded(token)));
        }
        set_query(parts, &pairs.join("&"))?;
        let signature = self.signature(parts, host, &names, keys);
        pairs.push(format!("{SIGNATURE_PARAMETER}={signature}"));
        set_query(parts, &Zeroizing::new(pairs.join("&")))
    }

    fn signature(&self, parts: &Parts, host: &str, names: &[String], keys: &AwsKeys) -> String {
        let request = canonical::request(parts, host, names, &self.service, self.payload.text());
        let text = format!(
            "{ALGORITHM}\n{}\n{}\n{}",
            self.time,
            self.scope(),
            hex::encode(Sha256::digest(&request))
        );
        let first = Zeroizing::new(format!("AWS4{}", keys.secret_access_key()));
        let mut key = hmac(first.as_bytes(), &self.date);
        for word in [&self.region, &self.service, "aws4_request"] {
            key = hmac(key.as_slice(), word);
        }
        hex::encode(hmac(key.as_slice(), &text).as_slice())
    }
}

fn hmac(key: &[u8], text: &str) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("an HMAC takes a key of any length");
    mac.update(text.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn sensitive(text: &str) -> Result<HeaderValue, NotSigned> {
    let mut value = HeaderValue::from_str(text).map_err(|_| NotSigned)?;
    value.set_sensitive(true);
    Ok(value)
}

fn set_query(parts: &mut Parts, query: &str) -> Result<(), NotSigned> {
    let target = format!("{}?{query}", parts.uri.path());
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(target.parse().map_err(|_| NotSigned)?);
    parts.uri = http::Uri::from_parts(uri).map_err(|_| NotSigned)?;
    Ok(())
}

#[cfg(test)]
mod tests;
