//! What a client says in the head of what it signed: with which key, for what, over which headers and payload.

use http::HeaderName;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;

use super::{ALGORITHM, CREDENTIAL_PARAMETER, TOKEN_HEADER, TOKEN_PARAMETER};
use crate::policy::{decoded, query_pairs};

const PAYLOAD_HEADER: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
/// A body in pieces with a checksum behind it, none of it signed: it goes through as it is.
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/// Where a signature stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Header,
    Query,
}

/// What a client signed. Nothing in it is believed but as the question what to sign.
#[derive(Debug)]
pub(crate) struct Stated {
    pub place: Where,
    /// Must be the placeholder.
    pub access_key: String,
    /// `20260102`, the first half of `time`.
    pub date: String,
    pub region: String,
    pub service: String,
    /// `20260102T030405Z`.
    pub time: String,
    /// Lower case.
    pub signed_headers: Vec<String>,
    pub payload: Payload,
}

/// What is signed of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The header's value: a hash, or a word that says that nothing is.
    Stated(String),
    /// There is no body.
    Empty,
    /// Nothing, as S3 has it for presigned addresses.
    Unsigned,
}

impl Payload {
    pub fn text(&self) -> &str {
        match self {
            Self::Stated(text) => text,
            Self::Empty => EMPTY_SHA256,
            Self::Unsigned => UNSIGNED,
        }
    }
}

/// Why a signature cannot be made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Another way of signing, by its name.
    Foreign(&'static str),
    /// A part that is missing, doubled or unreadable.
    Part(&'static str),
}

impl Stated {
    /// Reads a signature of version 4; `None` where there is none.
    pub fn read(parts: &Parts, place: Where) -> Option<Result<Self, Problem>> {
        match place {
            Where::Header => {
                let text = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
                let rest = text.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
                Some(Self::in_header(parts, rest))
            }
            Where::Query => {
                has_parameter(parts, CREDENTIAL_PARAMETER).then(|| Self::in_query(parts))
            }
        }
    }

    fn in_header(parts: &Parts, rest: &str) -> Result<Self, Problem> {
        let field = |name: &'static str| {
            let fields = rest
                .split(',')
                .filter_map(|field| field.trim().split_once('='));
            let mut values = fields
                .filter(|(key, _)| *key == name)
                .map(|(_, value)| value);
            let value = values.next().filter(|_| values.next().is_none());
            value.ok_or(Problem::Part(name))
        };
        field("Signature")?;
        let time = single(parts, "x-amz-date").ok_or(Problem::Part("x-amz-date"))?;
        let signed = field("SignedHeaders")?;
        Self::of(parts, Where::Header, field("Credential")?, time, signed)
    }

    fn in_query(parts: &Parts) -> Result<Self, Problem> {
        let parameter = |name| parameter(parts, name).ok_or(Problem::Part(name));
        if parameter("X-Amz-Algorithm")? != ALGORITHM {
            return Err(Problem::Part("X-Amz-Algorithm"));
        }
        parameter("X-Amz-Signature")?;
        let (credential, time) = (parameter(CREDENTIAL_PARAMETER)?, parameter("X-Amz-Date")?);
        let signed = parameter("X-Amz-SignedHeaders")?;
        Self::of(parts, Where::Query, &credential, &time, &signed)
    }

    fn of(
        parts: &Parts,
        place: Where,
        credential: &str,
        time: &str,
        signed_headers: &str,
    ) -> Result<Self, Problem> {
        let words: Vec<&str> = credential.split('/').collect();
        let [access_key, date, region, service, "aws4_request"] = words[..] else {
            return Err(Problem::Part("Credential"));
        };
        if !is_time(time) || !time.starts_with(date) || date.len() != 8 {
            return Err(Problem::Part("the date"));
        }
        Ok(Self {
            place,
            access_key: access_key.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            time: time.to_owned(),
            signed_headers: signed_headers
                .split(';')
                .map(str::to_ascii_lowercase)
                .collect(),
            payload: payload(parts, place, service)?,
        })
    }

    /// What the signature is good for, as it is written.
    pub fn scope(&self) -> String {
        format!(
            "{}/{}/{}/aws4_request",
            self.date, self.region, self.service
        )
    }
}

fn is_time(text: &str) -> bool {
    let digits = |text: &str, count: usize| {
        text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let halves = text.strip_suffix('Z').and_then(|text| text.split_once('T'));
    halves.is_some_and(|(date, time)| digits(date, 8) && digits(time, 6))
}

fn payload(parts: &Parts, place: Where, service: &str) -> Result<Payload, Problem> {
    if parts.headers.contains_key(PAYLOAD_HEADER) {
        let text = single(parts, PAYLOAD_HEADER.as_str());
        let text = text.ok_or(Problem::Part("x-amz-content-sha256"))?;
        let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        return match text {
            _ if is_hash => Ok(Payload::Stated(text.to_owned())),
            UNSIGNED | UNSIGNED_TRAILER => Ok(Payload::Stated(text.to_owned())),
            _ if text.contains("ECDSA") => Err(Problem::Foreign("AWS Signature Version 4A")),
            _ if text.starts_with("STREAMING-") => {
                Err(Problem::Foreign("a payload in signed chunks"))
            }
            _ => Err(Problem::Part("x-amz-content-sha256")),
        };
    }
    match (place, service) {
        (Where::Query, "s3") => Ok(Payload::Unsigned),
        _ if !has_body(parts) => Ok(Payload::Empty),
        _ => Err(Problem::Part("x-amz-content-sha256")),
    }
}

fn has_body(parts: &Parts) -> bool {
    let length = parts.headers.get(CONTENT_LENGTH);
    let is_long = length.is_some_and(|length| length.as_bytes() != b"0");
    is_long || parts.headers.contains_key(TRANSFER_ENCODING)
}

/// Signatures of AWS that are not version 4, by their names.
pub(crate) fn foreign_signature(parts: &Parts) -> Option<&'static str> {
    let value = parts.headers.get(AUTHORIZATION);
    let begins =
        |with: &str| value.is_some_and(|value| value.as_bytes().starts_with(with.as_bytes()));
    let algorithm = parameter(parts, "X-Amz-Algorithm").unwrap_or_default();
    let is_asymmetric = algorithm.starts_with("AWS4-ECDSA") || begins("AWS4-ECDSA");
    if is_asymmetric || parts.headers.contains_key("x-amz-region-set") {
        Some("AWS Signature Version 4A")
    } else if begins("AWS ") || begins("AWS3") || has_parameter(parts, "AWSAccessKeyId") {
        Some("AWS Signature Version 2")
    } else {
        None
    }
}

/// How many times the head names a session token where its signature stands: not at all, or as the placeholder alone,
/// which a client may have in `AWS_SESSION_TOKEN` too. The real token is put in by the broker.
pub(crate) fn names_token(parts: &Parts, placeholder: &str, place: Where) -> Option<usize> {
    let in_header = parts.headers.get_all(TOKEN_HEADER).iter().count();
    let in_query = query_pairs(parts.uri.query())
        .filter(|(name, _)| decoded(name) == TOKEN_PARAMETER)
        .count();
    let is_fine = (in_header == 0 || single(parts, TOKEN_HEADER.as_str()) == Some(placeholder))
        && (in_query == 0 || parameter(parts, TOKEN_PARAMETER).as_deref() == Some(placeholder));
    is_fine.then_some(match place {
        Where::Header => in_header,
        Where::Query => in_query,
    })
}

fn single<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let mut values = parts.headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok()
}

fn has_parameter(parts: &Parts, name: &str) -> bool {
    query_pairs(parts.uri.query()).any(|(key, _)| decoded(key) == name)
}

/// The value of a parameter that is there once. A `;` would be a separator to some servers, so there must be none.
fn parameter(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query().filter(|query| !query.contains(';'));
    let mut values = query_pairs(query).filter(|(key, _)| decoded(key) == name);
    let (_, value) = values.next().filter(|_| values.next().is_none())?;
    Some(decoded(value))
}
