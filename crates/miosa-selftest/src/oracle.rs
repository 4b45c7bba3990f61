//! What must hold after every row, whatever it tried: O1, O2, O4, O5.

use crate::canary::Canary;
use crate::stand::Seen;
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

/// The declared places of the connectors used here: a bearer token, an API key header, Basic.
fn is_well_placed(canaries: &[Canary], seen: &Seen) -> bool {
    let fits = |value: &str| {
        canaries.iter().any(|canary| {
            let bearer = [
                format!("Bearer {}", canary.value()),
                format!("token {}", canary.value()),
            ];
            bearer.contains(&value.to_owned())
                || value == canary.value()
                || value
                    .strip_prefix("Basic ")
                    .is_some_and(|text| is_basic(canary, text))
        })
    };
    let carriers = ["authorization", "x-api-key"];
    let values: Vec<&str> = carriers
        .iter()
        .flat_map(|name| seen.headers(name))
        .collect();
    values.len() == 1 && fits(values[0])
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

/// O5: each refusal's code is in the audit too.
fn in_the_audit(steps: &[Step], audit_codes: &[String]) -> Vec<String> {
    let mut missing: Vec<String> = missing_codes(steps, audit_codes)
        .map(|code| format!("O5: {code} was answered and is not in the audit"))
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

/// Codes that were answered and are not yet in the audit.
pub fn missing_codes<'a>(
    steps: &'a [Step],
    audit_codes: &'a [String],
) -> impl Iterator<Item = &'a str> {
    steps
        .iter()
        .filter(|step| !step.no_audit)
        .filter_map(|step| step.code.as_deref())
        .filter(|code| code.starts_with("EGRESS_"))
        .filter(|code| !audit_codes.iter().any(|written| written == code))
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
                "GET /mcp HTTP/1.1\r\nHost: a\r\n{}\r\n",
                lines.replace("{}", canary.value())
            )
        };
        let canary = Canary::new("a", "k");
        let good = head(&canary, "Authorization: Bearer {}\r\n");
        assert_eq!(judge(&used, &good, canary), Vec::<String>::new());
        for lines in [
            "Authorization: Bearer {}\r\nX-Other: {}\r\n",
            "X-Other: {}\r\n",
            "Authorization: Bearer {}, more\r\n",
        ] {
            let canary = Canary::new("a", "k");
            let bad = head(&canary, lines);
            assert_eq!(judge(&used, &bad, canary).len(), 1, "{lines}");
        }
        let canary = Canary::new("a", "k");
        let uncounted = head(&canary, "Authorization: Bearer {}\r\n");
        assert_eq!(judge(&[], &uncounted, canary).len(), 1);
        assert_eq!(
            judge(&used, "GET / HTTP/1.1\r\n\r\n", Canary::new("a", "k")).len(),
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
        assert!(in_the_audit(&[step], &["EGRESS_X".to_owned()]).is_empty());
    }
}
