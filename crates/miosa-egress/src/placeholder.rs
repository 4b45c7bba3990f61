//! Finds placeholders in the head of a request, as they are and in disguise (`placeholder/disguise.rs`),
//! in any letter case.
//!
//! Every occurrence is reported: one that is not exactly where its binding wants it stops the request.
//! The body is never looked at.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use http::request::Parts;
use miosa_api::broker::{PLACEHOLDER_HEX, PLACEHOLDER_PREFIX};
use subtle::ConstantTimeEq;

mod disguise;

use crate::policy::CompiledPolicy;
use crate::weaken::{Defence, is_off};
use disguise::readings;

/// Where a placeholder was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    Header(HeaderName),
    Query,
    Path,
}

/// One occurrence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub location: Location,
    /// Which binding of the policy it is of; `None` for one this sandbox does not have.
    pub binding: Option<usize>,
}

/// All placeholders in the head of a request.
pub(crate) fn scan(policy: &CompiledPolicy, parts: &Parts) -> Vec<Found> {
    let mut found = Vec::new();
    let mut report = |location: &Location, bindings: Vec<Option<usize>>| {
        let as_found = |binding| Found {
            location: location.clone(),
            binding,
        };
        found.extend(bindings.into_iter().map(as_found));
    };
    for (name, value) in &parts.headers {
        report(
            &Location::Header(name.clone()),
            scan_text(policy, value.as_bytes()),
        );
    }
    report(
        &Location::Path,
        scan_text(policy, parts.uri.path().as_bytes()),
    );
    let query = parts.uri.query().unwrap_or_default();
    report(&Location::Query, scan_text(policy, query.as_bytes()));
    found
}

/// Whether a text holds anything like a placeholder.
pub(crate) fn is_in(text: &[u8]) -> bool {
    readings(text)
        .iter()
        .any(|reading| find_marker(reading, 0).is_some())
}

/// A path as it may be audited: one that holds a placeholder is left out altogether.
#[must_use]
pub fn mask(text: &str) -> Cow<'_, str> {
    let is_masked = is_in(text.as_bytes()) && !is_off(Defence::AuditMask);
    Cow::Borrowed(if is_masked { "…" } else { text })
}

/// The bindings of all placeholders in a text, in the reading that shows the most.
pub(crate) fn scan_text(policy: &CompiledPolicy, text: &[u8]) -> Vec<Option<usize>> {
    let readings = readings(text);
    let found = readings.iter().map(|reading| scan_reading(policy, reading));
    found.max_by_key(Vec::len).unwrap_or_default()
}

fn scan_reading(policy: &CompiledPolicy, text: &[u8]) -> Vec<Option<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = find_marker(text, from) {
        from = at + PLACEHOLDER_PREFIX.len();
        found.push(
            text.get(from..from + PLACEHOLDER_HEX)
                .and_then(|digits| owner(policy, digits)),
        );
    }
    found
}

/// Whose these digits are. Looks at every binding, and at every digit, however early it is known.
fn owner(policy: &CompiledPolicy, digits: &[u8]) -> Option<usize> {
    let digits = digits.to_ascii_lowercase();
    let mut owner = None;
    for (index, binding) in policy.bindings().enumerate() {
        let placeholder = binding.placeholder.as_bytes();
        let known = &placeholder[placeholder.len().saturating_sub(PLACEHOLDER_HEX)..];
        if bool::from(known.ct_eq(&digits)) {
            owner = Some(index);
        }
    }
    owner
}

fn find_marker(text: &[u8], from: usize) -> Option<usize> {
    let marker = PLACEHOLDER_PREFIX.as_bytes();
    let rest = text.get(from..)?;
    let is_marker = |at: &usize| {
        let window = rest.get(*at..at + marker.len());
        window.is_some_and(|window| window.eq_ignore_ascii_case(marker))
    };
    let (lower, upper) = (marker[0], marker[0].to_ascii_uppercase());
    let mut begun = memchr::memchr2_iter(lower, upper, rest);
    Some(from + begun.find(is_marker)?)
}

/// What is inside `Basic …`.
pub(crate) fn basic_credentials(value: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.split_at_checked(6)?;
    let is_basic = scheme.eq_ignore_ascii_case(b"basic ");
    is_basic
        .then(|| STANDARD.decode(encoded.trim_ascii()).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_is_seen_in_its_disguises() {
        let token = "miosa-tok-0123";
        let twice = "%256diosa-tok-0123";
        for text in [
            token,
            "MIOSA-TOK-0",
            "Bearer miosa-tok-x",
            "%6Diosa%2dtok-0123",
            twice,
        ] {
            assert!(is_in(text.as_bytes()), "{text}");
        }
        for user in ["", "x:", "ab:", "abc:"] {
            let encoded = STANDARD.encode(format!("{user}{token}"));
            assert!(is_in(encoded.as_bytes()), "{encoded}");
            assert!(is_in(format!("Basic {encoded}").as_bytes()));
        }
        for encoded in [hex::encode(token), hex::encode_upper(token)] {
            assert!(is_in(format!("Bearer {encoded}").as_bytes()), "{encoded}");
        }
        for text in [
            "",
            "miosa",
            "miosa-to",
            "miosa_tok_",
            "Bearer sk-123",
            "Basic ???",
            "%zz%",
        ] {
            assert!(!is_in(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn row_140_a_placeholder_in_a_path_is_not_audited() {
        assert_eq!(mask("/bot-miosa-tok-0123/send"), "…");
        assert_eq!(mask("/v1/messages"), "/v1/messages");
    }
}
