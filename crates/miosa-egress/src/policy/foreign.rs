//! Credentials of the caller's own, in places that providers read one from although no binding says so
//! (row 52): with one the agent could leave what it has with a provider under an account that is not the
//! sandbox's.
//!
//! Names that mean a credential and nothing else, wherever they are read. What could mean other things too
//! (`key`, `token`) is not here; of such a host, a binding lists it as a place.

use http::request::Parts;

use super::binding::Carrier;
use super::place::{decoded, query_pairs};

/// Sorted, for they are searched by halves.
const HEADERS: &[&str] = &[
    "api-key",
    "apikey",
    "deploy-token",
    "job-token",
    "ocp-apim-subscription-key",
    "private-token",
    "x-access-token",
    "x-api-key",
    "x-api-token",
    "x-auth-token",
    "x-figma-token",
    "x-goog-api-key",
    "x-shopify-access-token",
    "x-subscription-token",
];

/// The same, in lower case.
const PARAMETERS: &[&str] = &[
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "auth_token",
    "job_token",
    "oauth_token",
    "private_token",
    "subscription-key",
];

/// Whether the request has one of them beside the carrier that was chosen.
pub(super) fn is_carried(parts: &Parts, chosen: Option<&Carrier>) -> bool {
    let is_chosen = |name: &str| match chosen {
        Some(Carrier::Header(chosen)) => chosen.as_str() == name,
        Some(Carrier::Query(_)) | None => false,
    };
    let is_parameter = |(key, _): (&str, &str)| {
        let name = decoded(key);
        let is_chosen = matches!(chosen, Some(Carrier::Query(chosen)) if *chosen == name);
        let name = name.to_ascii_lowercase();
        !is_chosen && PARAMETERS.binary_search(&name.as_str()).is_ok()
    };
    let mut names = parts.headers.keys().map(http::HeaderName::as_str);
    names.any(|name| HEADERS.binary_search(&name).is_ok() && !is_chosen(name))
        || (parts.uri.query().is_some() && query_pairs(parts.uri.query()).any(is_parameter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(HEADERS.is_sorted() && PARAMETERS.is_sorted());
    }
}
