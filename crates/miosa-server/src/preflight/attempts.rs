//! The requests of a preflight: one that must work, and its neighbours that must be refused.

use miosa_api::broker::RefusalCode;

use crate::bindings::Bound;
use crate::connectors::overlap::path_matches;
use crate::connectors::{Definition, Probe};

/// A path no provider serves.
pub(super) const WRONG_PATH: &str = "/miosa-preflight-wrong-path";
/// A host that never exists (RFC 2606).
const OTHER_HOST: &str = "miosa-preflight.invalid";
const METHODS: &[&str] = &["PUT", "PATCH", "DELETE", "POST", "GET"];

/// What must become of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expect {
    /// One of these statuses.
    Status(Vec<u16>),
    /// A refusal of the broker's with one of these codes.
    Refused(&'static [RefusalCode]),
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Name of its step.
    pub step: &'static str,
    /// Method.
    pub method: String,
    /// Whole address.
    pub url: String,
    /// Another host than the address's in the `Host` header.
    pub host: Option<&'static str>,
    /// What must become of it.
    pub expect: Expect,
}

/// All requests of a connector; none when it has no probe.
pub(super) fn of(bound: &Bound) -> Vec<Attempt> {
    let Some((definition, probe)) = bound
        .definition
        .as_ref()
        .and_then(|d| Some((d, d.probe.as_ref()?)))
    else {
        return Vec::new();
    };
    let mut attempts = vec![attempt(
        "probe",
        &probe.method,
        &probe.url,
        Expect::Status(probe.expect.clone()),
    )];
    attempts.extend(wrong_path(definition, probe));
    attempts.extend(wrong_method(definition, probe));
    let spoofed = Expect::Refused(&[
        RefusalCode::AuthorityMismatch,
        RefusalCode::PlaceholderNotBound,
    ]);
    attempts.push(Attempt {
        host: Some(OTHER_HOST),
        ..attempt("spoofed_host", &probe.method, &probe.url, spoofed)
    });
    let elsewhere = format!("https://{OTHER_HOST}{}", path_of(&probe.url));
    attempts.push(attempt(
        "other_host",
        &probe.method,
        &elsewhere,
        Expect::Refused(&[
            RefusalCode::PlaceholderNotBound,
            RefusalCode::HostNotAllowed,
            RefusalCode::HostDenied,
        ]),
    ));
    let plain = probe.url.replacen("https://", "http://", 1);
    attempts.push(attempt(
        "plain_http",
        &probe.method,
        &plain,
        Expect::Refused(&[
            RefusalCode::CleartextCredential,
            RefusalCode::PlaceholderNotBound,
            RefusalCode::HostNotAllowed,
        ]),
    ));
    attempts
}

/// None where the credential is good for every path of the host.
fn wrong_path(definition: &Definition, probe: &Probe) -> Option<Attempt> {
    let host = host_of(&probe.url);
    let covered =
        |e: &&miosa_api::broker::Endpoint| e.host == host && path_matches(&e.path, WRONG_PATH);
    if definition.endpoints.iter().any(|e| covered(&e)) {
        return None;
    }
    let url = format!("https://{host}{WRONG_PATH}");
    Some(attempt(
        "wrong_path",
        &probe.method,
        &url,
        Expect::Refused(&[RefusalCode::PathNotBound, RefusalCode::PlaceholderNotBound]),
    ))
}

/// None where the credential is good for every method of the path.
fn wrong_method(definition: &Definition, probe: &Probe) -> Option<Attempt> {
    let (host, path) = (host_of(&probe.url), path_of(&probe.url));
    let listed = |method: &str| {
        let here = definition
            .endpoints
            .iter()
            .filter(|e| e.host == host && path_matches(&e.path, path));
        here.flat_map(|e| &e.methods).any(|m| m == method)
    };
    let method = METHODS.iter().find(|method| !listed(method))?;
    Some(attempt(
        "wrong_method",
        method,
        &probe.url,
        Expect::Refused(&[
            RefusalCode::MethodNotBound,
            RefusalCode::PlaceholderNotBound,
        ]),
    ))
}

fn attempt(step: &'static str, method: &str, url: &str, expect: Expect) -> Attempt {
    Attempt {
        step,
        method: method.to_owned(),
        url: url.to_owned(),
        host: None,
        expect,
    }
}

fn after_scheme(url: &str) -> &str {
    url.strip_prefix("https://").unwrap_or(url)
}

/// Where the programs of an image shake hands: the first address of a connector that is intercepted.
pub(super) fn place_of_handshakes(bound: &[Bound]) -> Option<&str> {
    let probed = bound
        .iter()
        .filter_map(|bound| bound.definition.as_ref()?.probe.as_ref());
    probed.map(|probe| host_of(&probe.url)).next()
}

/// Host (with its port, if any) of an address that a definition's check has passed.
fn host_of(url: &str) -> &str {
    after_scheme(url).split('/').next().unwrap_or_default()
}

fn path_of(url: &str) -> &str {
    let rest = after_scheme(url);
    rest.find('/').map_or("/", |start| &rest[start..])
}
