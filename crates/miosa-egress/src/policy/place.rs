//! Whether a placeholder stands exactly where its binding wants it, and what else is beside it.

use http::header::AUTHORIZATION;
use http::request::Parts;
use miosa_api::broker::Place;
use percent_encoding::percent_decode_str;

use super::binding::{Binding, Carrier};
use crate::placeholder::basic_credentials;
use crate::sigv4::{Stated, Where};

impl Binding {
    /// Which of the places holds the placeholder, and nothing but it.
    pub fn place_in(&self, parts: &Parts) -> Option<usize> {
        let token = self.policy.placeholder.as_str();
        let holds = |(place, carrier): (&Place, &Carrier)| match (place, carrier) {
            (Place::Header { prefix, .. }, Carrier::Header(name)) => {
                single_header(parts, name).is_some_and(|value| is_prefixed(value, prefix, token))
            }
            (Place::Basic, _) => {
                single_header(parts, &AUTHORIZATION).is_some_and(|v| is_in_basic(v, token))
            }
            (Place::Query { name }, _) => holds_in_query(parts.uri.query(), name, token),
            (Place::AwsHeader(_), _) => is_signed_with(parts, Where::Header, token),
            (Place::AwsQuery(_), _) => is_signed_with(parts, Where::Query, token),
            (Place::Header { .. }, Carrier::Query(_)) => false,
        };
        self.policy
            .places
            .iter()
            .zip(&self.carriers)
            .position(holds)
    }
}

/// Whether an AWS signature names the token as its key.
fn is_signed_with(parts: &Parts, place: Where, token: &str) -> bool {
    let stated = Stated::read(parts, place);
    stated.is_some_and(|stated| stated.is_ok_and(|stated| stated.access_key == token))
}

impl Carrier {
    /// Whether the request has anything in this carrier.
    pub fn is_used(&self, parts: &Parts) -> bool {
        match self {
            Self::Header(name) => parts.headers.contains_key(name),
            Self::Query(name) => {
                query_pairs(parts.uri.query()).any(|(key, _)| decoded(key) == *name)
            }
        }
    }
}

fn single_header<'a>(parts: &'a Parts, name: &http::HeaderName) -> Option<&'a [u8]> {
    let mut values = parts.headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value.as_bytes())
}

/// Row 50: the whole value is the prefix, in any letter case, and the token.
fn is_prefixed(value: &[u8], prefix: &str, token: &str) -> bool {
    value
        .split_at_checked(prefix.len())
        .is_some_and(|(before, rest)| {
            before.eq_ignore_ascii_case(prefix.as_bytes()) && rest == token.as_bytes()
        })
}

/// Row 85: the token is the whole password, or the whole user name.
fn is_in_basic(value: &[u8], token: &str) -> bool {
    let credentials = basic_credentials(value);
    credentials
        .as_deref()
        .and_then(split_basic)
        .is_some_and(|(user, password)| user == token.as_bytes() || password == token.as_bytes())
}

/// User name and password.
pub(crate) fn split_basic(credentials: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = credentials.iter().position(|byte| *byte == b':')?;
    Some((&credentials[..colon], &credentials[colon + 1..]))
}

/// Exactly one parameter of this name, whose whole value is the token. A `;` would be a separator to
/// some servers, so there must be none.
fn holds_in_query(query: Option<&str>, name: &str, token: &str) -> bool {
    if query.is_some_and(|query| query.contains(';')) {
        return false;
    }
    let mut values = query_pairs(query).filter(|(key, _)| decoded(key) == name);
    let is_token = values
        .next()
        .is_some_and(|(_, value)| decoded(value) == token);
    is_token && values.next().is_none()
}

/// Names and values of a query, still encoded.
pub(crate) fn query_pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let pairs = query.unwrap_or_default().split('&');
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// A name or value of a query without its encoding.
pub(crate) fn decoded(text: &str) -> String {
    let spaces = text.replace('+', " ");
    percent_decode_str(&spaces).decode_utf8_lossy().into_owned()
}
