//! What a rule may say.
//!
//! INVARIANT: a rule that passes [`check`] compiles at the broker, and means there what is written
//! here: `a_rule_the_api_takes_compiles_at_the_broker` holds the two together.

use std::net::IpAddr;

use ipnet::IpNet;
use miosa_api::limits::RULE_PATH_CHARS_MAX;

use crate::ApiError;
use crate::connectors::path_pattern;

/// Methods of one rule.
const METHODS_MAX: usize = 16;
/// Letters of one method.
const METHOD_CHARS_MAX: usize = 32;

/// What a rule is about, in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matter {
    /// Lower case name, `*.name`, address or range.
    pub host: String,
    /// Upper case; all when empty.
    pub methods: Vec<String>,
    /// Path pattern; all when absent.
    pub path: Option<String>,
}

/// Checks host, methods and path, and brings them into their one spelling.
pub fn check(host: &str, methods: &[String], path: Option<&str>) -> Result<Matter, ApiError> {
    let host = check_host(host).map_err(|why| ApiError::invalid("host", why))?;
    let methods = check_methods(methods).map_err(|why| ApiError::invalid("methods", why))?;
    if path.is_some_and(|path| path.len() > RULE_PATH_CHARS_MAX) {
        let why = format!("at most {RULE_PATH_CHARS_MAX} characters");
        return Err(ApiError::invalid("path_glob", why));
    }
    if let Some(path) = path {
        path_pattern(path).map_err(|why| ApiError::invalid("path_glob", why))?;
    }
    Ok(Matter {
        host,
        methods,
        path: path.map(str::to_owned),
    })
}

/// A host name, `*.name` for one level below, an address, or a range of addresses.
pub fn check_host(text: &str) -> Result<String, String> {
    let given = text.trim();
    if given.contains("://") {
        return Err(format!(
            "`{given}` is an address of a page; give the host alone"
        ));
    }
    if given.contains('/') {
        return check_range(given);
    }
    let inner = given
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = inner.unwrap_or(given).parse::<IpAddr>() {
        return Ok(address.to_canonical().to_string());
    }
    if given.contains(':') {
        return Err(format!(
            "`{given}` has a port; a rule is about every port of a host"
        ));
    }
    if given == "*" {
        return Err("`*` would be every host; that is the mode `audit_only`".to_owned());
    }
    if !given.is_ascii() {
        return Err(format!(
            "`{given}` is not written in ASCII; give its `xn--` form"
        ));
    }
    let lower = given
        .strip_suffix('.')
        .unwrap_or(given)
        .to_ascii_lowercase();
    let name = lower.strip_prefix("*.").unwrap_or(&lower);
    if !is_name(name) {
        return Err(format!(
            "`{given}` is not a host name, `*.name` (one level below), an address or a range such as 192.0.2.0/24"
        ));
    }
    Ok(lower)
}

fn check_range(given: &str) -> Result<String, String> {
    let range: IpNet = given.parse().map_err(|_| {
        format!(
            "`{given}` is not an address range such as 192.0.2.0/24; a path goes into `path_glob`"
        )
    })?;
    if let IpNet::V6(v6) = range
        && v6.addr().to_ipv4_mapped().is_some()
    {
        return Err(format!(
            "`{given}` is IPv4 in disguise; write the IPv4 range"
        ));
    }
    if range.trunc() != range {
        let meant = range.trunc();
        return Err(format!(
            "`{given}` has bits set beyond its prefix; the range is {meant}"
        ));
    }
    Ok(range.to_string())
}

/// As the broker reads names: what some parser takes for an address is none.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    name.len() <= 253 && name.split('.').all(is_label) && !is_number
}

fn check_methods(given: &[String]) -> Result<Vec<String>, String> {
    if given.len() > METHODS_MAX {
        return Err(format!("at most {METHODS_MAX}"));
    }
    let mut methods = Vec::new();
    for method in given {
        let upper = method.trim().to_ascii_uppercase();
        let fine = (1..=METHOD_CHARS_MAX).contains(&upper.len())
            && upper.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        if !fine || matches!(upper.as_str(), "CONNECT" | "TRACE" | "TRACK") {
            return Err(format!(
                "`{method}` is not a method that can leave a sandbox"
            ));
        }
        if !methods.contains(&upper) {
            methods.push(upper);
        }
    }
    Ok(methods)
}

/// Whether a rule for `pattern` is about `host`, both in their one spelling. For lists alone: what a
/// request meets is decided by the broker.
#[must_use]
pub fn is_about(pattern: &str, host: &str) -> bool {
    if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        let range = pattern.parse::<IpNet>();
        return range.map_or_else(
            |_| pattern.parse() == Ok(address),
            |range| range.contains(&address),
        );
    }
    match pattern.strip_prefix("*.") {
        Some(suffix) => host.split_once('.').is_some_and(|(_, rest)| rest == suffix),
        None => pattern == host,
    }
}

#[cfg(test)]
mod tests {
    use super::{check, check_host, is_about};

    #[test]
    fn hosts_have_one_spelling() {
        for (given, host) in [
            ("API.Example.com.", "api.example.com"),
            ("*.npmjs.org", "*.npmjs.org"),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("[::1]", "::1"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(check_host(given).as_deref(), Ok(host), "{given}");
        }
    }

    #[test]
    fn what_would_be_half_a_rule_is_refused_in_words() {
        for (given, word) in [
            ("https://a.example/x", "host alone"),
            ("a.example:443", "every port"),
            ("a.example/x", "path_glob"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("*", "audit_only"),
            ("", "not a host"),
            ("*.*.example", "not a host"),
            ("a.*.example", "not a host"),
            ("2130706433", "not a host"),
            ("-a.example", "not a host"),
            ("bücher.example", "xn--"),
        ] {
            let why = check_host(given).unwrap_err();
            assert!(why.contains(word), "{given}: {why}");
        }
        let upper = check("a.example", &["get".into(), "GET".into()], Some("/v1/**")).unwrap();
        assert_eq!(upper.methods, ["GET"]);
        let long = "/v".repeat(513);
        for (methods, path, field) in [
            (vec!["G T"], None, "methods"),
            (vec!["CONNECT"], None, "methods"),
            (vec![], Some("v1"), "path_glob"),
            (vec![], Some(long.as_str()), "path_glob"),
            (vec![], Some("/v1*"), "path_glob"),
            (vec![], Some("/**/x"), "path_glob"),
            (vec![], Some("/a/../b"), "path_glob"),
            (vec![], Some("/a?b"), "path_glob"),
        ] {
            let methods: Vec<String> = methods.into_iter().map(str::to_owned).collect();
            let error = check("a.example", &methods, path).unwrap_err();
            assert_eq!(error.details.unwrap()["field"], field);
        }
    }

    #[test]
    fn a_host_is_known_by_name_level_and_range() {
        for (pattern, host, expected) in [
            ("a.example", "a.example", true),
            ("*.example", "a.example", true),
            ("*.example", "b.a.example", false),
            ("*.example", "example", false),
            ("192.0.2.0/24", "192.0.2.9", true),
            ("192.0.2.9", "192.0.2.9", true),
            ("::1", "[::1]", true),
            ("192.0.2.0/24", "a.example", false),
        ] {
            assert_eq!(is_about(pattern, host), expected, "{pattern} {host}");
        }
    }
}
