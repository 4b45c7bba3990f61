//! What must hold after every row, whatever it tried: O1, O2, O4, O5, O6.

use std::collections::BTreeMap;

use crate::canary::Canary;
use crate::stand::{self, Seen};
use crate::trial::Step;

/// What a row left outside the sandbox.
pub struct Traces<'a> {
    /// Values of this run.
    pub canaries: &'a [Canary],
    /// Bytes at the attacker.
    pub attacker: &'a [u8],
    /// Bytes that came into the sandbox.
    pub inside: &'a [u8],
    /// Requests at the providers.
    pub provider: &'a [Seen],
    /// Codes in the audit.
    pub audit_codes: &'a [String],
}

/// What is wrong, one sentence each.
pub fn violations(steps: &[Step], traces: &Traces<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for canary in traces.canaries {
        let name = canary.connector;
        if let Some(form) = canary.find(traces.attacker) {
            found.push(format!(
                "O1: the value of {name} reached the attacker ({form})"
            ));
        }
        if let Some(form) = canary.find(traces.inside) {
            found.push(format!(
                "O2: the value of {name} came into the sandbox ({form})"
            ));
        }
    }
    found.extend(at_the_provider(steps, traces));
    found.extend(in_the_audit(steps, traces.audit_codes));
    found.extend(before_the_provider(steps, traces.provider));
    found
}

/// O4: as many requests with a credential as the steps account for, each with one credential in its place.
fn at_the_provider(steps: &[Step], traces: &Traces<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let expected: usize = steps.iter().map(|step| step.uses).sum();
    let mut used = 0;
    for seen in traces.provider {
        let values = values_in(traces.canaries, seen);
        used += usize::from(values > 0);
        if values > 1 {
            found.push(format!(
                "O4: {values} credentials in one request ({})",
                seen.line()
            ));
        }
        if values == 1 && !is_well_placed(traces.canaries, seen) {
            found.push(format!(
                "O4: a credential outside its place ({})",
                seen.line()
            ));
        }
    }
    if used != expected {
        found.push(format!(
            "O4: {used} requests with a credential reached the provider, not {expected}"
        ));
    }
    found
}

fn values_in(canaries: &[Canary], seen: &Seen) -> usize {
    let all = canaries.iter().map(|canary| {
        let raw = memchr::memmem::find_iter(&seen.head, canary.value()).count();
        raw.max(usize::from(canary.find_plain(&seen.head).is_some()))
    });
    all.sum()
}

/// Whose credential a host may get, and in which header.
const PLACES: &[(&str, &[&str], &str)] = &[
    (stand::BOUND, &["refero/design-research"], "authorization"),
    (
        stand::WIDE,
        &["github", "spare-old", "spare-new"],
        "authorization",
    ),
    (stand::GIT, &["github"], "authorization"),
    (stand::MODEL, &["anthropic"], "x-api-key"),
];

/// Whether the one credential is this host's, alone in its declared place.
fn is_well_placed(canaries: &[Canary], seen: &Seen) -> bool {
    let hosts = seen.headers("host");
    let host = hosts.first().and_then(|host| host.split(':').next());
    if host == Some(stand::S3) {
        return is_signing(canaries, seen);
    }
    let Some((_, connectors, header)) = PLACES.iter().find(|place| Some(place.0) == host) else {
        return false;
    };
    let fits = |value: &str| {
        let mut own = canaries
            .iter()
            .filter(|canary| connectors.contains(&canary.connector));
        own.any(|canary| match *header {
            "authorization" => {
                ["Bearer ", "token "]
                    .iter()
                    .any(|scheme| value.strip_prefix(scheme) == Some(canary.value()))
                    || value
                        .strip_prefix("Basic ")
                        .is_some_and(|text| is_basic(canary, text))
            }
            _ => value == canary.value(),
        })
    };
    let carriers = ["authorization", "x-api-key"];
    let all = carriers.iter().flat_map(|name| seen.headers(name));
    let values = seen.headers(header);
    all.count() == 1 && values.len() == 1 && fits(values[0])
}

/// Whether the one value is the id of AWS keys, where a signature names it. The secret key is nowhere ever.
fn is_signing(canaries: &[Canary], seen: &Seen) -> bool {
    let Some(id) = canaries.iter().find(|canary| canary.connector == "aws") else {
        return false;
    };
    let header = format!("AWS4-HMAC-SHA256 Credential={}/", id.value());
    let query = format!("X-Amz-Credential={}%2F", id.value());
    let in_header = seen
        .headers("authorization")
        .iter()
        .any(|value| value.starts_with(&header));
    in_header != seen.line().contains(&query)
}

fn is_basic(canary: &Canary, text: &str) -> bool {
    use base64::Engine as _;
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap_or_default();
    let decoded = String::from_utf8_lossy(&decoded).into_owned();
    decoded
        .split_once(':')
        .is_some_and(|(user, password)| password == canary.value() || user == canary.value())
}

/// O5: each refusal is in the audit too, with its code.
fn in_the_audit(steps: &[Step], audit_codes: &[String]) -> Vec<String> {
    missing_codes(steps, audit_codes)
        .into_iter()
        .map(|(code, count)| {
            format!("O5: {count} times {code} was answered and is not in the audit")
        })
        .collect()
}

/// Codes that were answered more often than they are in the audit yet, and how much more often.
pub fn missing_codes(steps: &[Step], audit_codes: &[String]) -> BTreeMap<String, usize> {
    let mut missing: BTreeMap<String, usize> = BTreeMap::new();
    let codes = steps
        .iter()
        .filter(|step| !step.no_audit)
        .filter_map(|step| step.code.as_deref())
        .filter(|code| code.starts_with("EGRESS_"));
    for code in codes {
        *missing.entry(code.to_owned()).or_default() += 1;
    }
    for written in audit_codes {
        if let Some(count) = missing.get_mut(written) {
            *count = count.saturating_sub(1);
        }
    }
    missing.retain(|_, count| *count > 0);
    missing
}

/// O6: where everything was refused, nothing reached a provider. What only a provider can tell comes after it
/// was asked.
fn before_the_provider(steps: &[Step], provider: &[Seen]) -> Vec<String> {
    let is_early = |code: &str| {
        code.starts_with("EGRESS_")
            && !code.starts_with("EGRESS_UPSTREAM")
            && ![
                "EGRESS_RESPONSE_NOT_INSPECTABLE",
                "EGRESS_AUDIT_UNAVAILABLE",
            ]
            .contains(&code)
    };
    let is_refused = |step: &Step| step.uses == 0 && step.code.as_deref().is_some_and(is_early);
    let all_refused = !steps.is_empty() && steps.iter().all(is_refused);
    match provider.first() {
        Some(seen) if all_refused => vec![format!(
            "O6: a provider was asked although all was refused ({})",
            seen.line()
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(head: &str) -> Seen {
        Seen {
            server: "provider",
            head: head.as_bytes().to_vec(),
            body: Vec::new(),
            connection: 1,
        }
    }

    fn judge(steps: &[Step], head: &str, canary: Canary) -> Vec<String> {
        let provider = [seen(head)];
        violations(
            steps,
            &Traces {
                canaries: &[canary],
                attacker: b"",
                inside: b"",
                provider: &provider,
                audit_codes: &[],
            },
        )
    }

    #[test]
    fn a_credential_must_be_accounted_for_alone_and_in_place() {
        let used = [Step {
            uses: 1,
            ..Step::default()
        }];
        let head = |canary: &Canary, lines: &str| {
            format!(
                "GET /user HTTP/1.1\r\nHost: api.github.com\r\n{}\r\n",
                lines.replace("{}", canary.value())
            )
        };
        let canary = Canary::new("github", "k");
        let good = head(&canary, "Authorization: Bearer {}\r\n");
        assert_eq!(judge(&used, &good, canary), Vec::<String>::new());
        for lines in [
            "Authorization: Bearer {}\r\nX-Other: {}\r\n",
            "X-Other: {}\r\n",
            "Authorization: Bearer {}, more\r\n",
        ] {
            let canary = Canary::new("github", "k");
            let bad = head(&canary, lines);
            assert_eq!(judge(&used, &bad, canary).len(), 1, "{lines}");
        }
        let canary = Canary::new("github", "k");
        let uncounted = head(&canary, "Authorization: Bearer {}\r\n");
        assert_eq!(judge(&[], &uncounted, canary).len(), 1);
        assert_eq!(
            judge(&used, "GET / HTTP/1.1\r\n\r\n", Canary::new("github", "k")).len(),
            1
        );
    }

    #[test]
    fn a_refusal_must_be_audited() {
        let step = Step {
            code: Some("EGRESS_X".to_owned()),
            ..Step::default()
        };
        assert_eq!(in_the_audit(std::slice::from_ref(&step), &[]).len(), 1);
        let written = ["EGRESS_X".to_owned()];
        assert!(in_the_audit(std::slice::from_ref(&step), &written).is_empty());
        let twice = [step.clone(), step.clone()];
        assert_eq!(in_the_audit(&twice, &written).len(), 1, "one line for two");
        let provider = [seen("GET / HTTP/1.1\r\n\r\n")];
        assert_eq!(before_the_provider(&[step], &provider).len(), 1);
    }

    #[test]
    fn a_credential_at_another_connectors_host_is_out_of_place() {
        let used = [Step {
            uses: 1,
            ..Step::default()
        }];
        let canary = Canary::new("anthropic", "k");
        let head = format!(
            "GET /user HTTP/1.1\r\nHost: api.github.com\r\nAuthorization: Bearer {}\r\n\r\n",
            canary.value()
        );
        assert_eq!(judge(&used, &head, canary).len(), 1);
    }
}
