//! What became of a request.

use miosa_api::broker::RefusalCode;
use miosa_api::error::ErrorBody;
use miosa_api::preflight::{PreflightStep, StepCode};

use super::{bad, good, shown};
use crate::bindings::Bound;
use crate::preflight::attempts::{Attempt, Expect};
use crate::preflight::script::Tried;

/// curl: could not resolve the host.
const CURL_NO_NAME: i32 = 6;
/// curl: could not connect; time was up.
const CURL_NO_BROKER: [i32; 2] = [7, 28];
const COMMAND_NOT_FOUND: i32 = 127;

pub(super) fn step(bound: &Bound, attempt: &Attempt, tried: Option<&Tried>) -> PreflightStep {
    let what = match attempt.host {
        Some(host) => format!("{} {} with `Host: {host}`", attempt.method, attempt.url),
        None => format!("{} {}", attempt.method, attempt.url),
    };
    let Some(tried) = tried else {
        return bad(
            attempt.step,
            StepCode::NoAnswer,
            format!("{what}: the sandbox gave no answer in time"),
            "try again; the sandbox may be short of memory or processes",
        );
    };
    if tried.exit == COMMAND_NOT_FOUND {
        return bad(
            attempt.step,
            StepCode::ToolMissing,
            "`curl` is not in this sandbox".to_owned(),
            "use a template that has curl",
        );
    }
    match &attempt.expect {
        Expect::Status(statuses) => worked(bound, attempt, statuses, tried, &what),
        Expect::Refused(codes) => refused(attempt, codes, tried, &what),
    }
}

fn worked(
    bound: &Bound,
    attempt: &Attempt,
    statuses: &[u16],
    tried: &Tried,
    what: &str,
) -> PreflightStep {
    let uid = &bound.connector.uid;
    if statuses.contains(&tried.status) {
        let detail = format!("{what}: {} with the credential of {uid}", tried.status);
        return good(attempt.step, detail);
    }
    let (code, said, hint) = match broker_code(tried) {
        // The broker says this in place of a provider that leads to a login.
        None | Some(RefusalCode::CredentialRejected) => by_the_provider(uid, tried),
        Some(refusal) => by_the_broker(refusal),
    };
    bad(attempt.step, code, format!("{what}: {said}"), hint)
}

fn by_the_broker(refusal: RefusalCode) -> (StepCode, String, String) {
    let code = match refusal {
        RefusalCode::UpstreamNotFound
        | RefusalCode::UpstreamUnreachable
        | RefusalCode::UpstreamCertificate
        | RefusalCode::UpstreamProtocol => StepCode::ProviderUnreachable,
        _ => StepCode::BrokerRefused,
    };
    let hint = if code == StepCode::ProviderUnreachable {
        "look whether this server reaches the provider: its network, its resolver, its roots"
    } else {
        "`miosa sandbox why` and the sandbox's audit (`GET /egress/audit?resource_id=…`) say more"
    };
    let said = format!("the egress broker refused it with {}", refusal.as_str());
    (code, said, hint.to_owned())
}

fn by_the_provider(uid: &str, tried: &Tried) -> (StepCode, String, String) {
    let status = tried.status;
    let answered = format!("the provider answered {status} to the credential of {uid}");
    match status {
        0 => {
            let is_ours = CURL_NO_BROKER.contains(&tried.exit) || tried.exit == CURL_NO_NAME;
            let code = if is_ours {
                StepCode::BrokerUnreachable
            } else {
                StepCode::NoAnswer
            };
            let hint = "the egress broker may be down or busy, or the provider slow: data_dir/log/egress.log says more";
            (
                code,
                format!("no answer ({})", shown(&tried.said)),
                hint.to_owned(),
            )
        }
        401 => {
            let hint = format!(
                "the stored secret of {uid} is wrong or was withdrawn: replace it, placeholders stay"
            );
            (StepCode::CredentialRejected, answered, hint)
        }
        403 => {
            let hint = format!(
                "the secret of {uid} is known there, but may not do this: give it the scope at the provider, or store one that has it"
            );
            (StepCode::CredentialLacksScope, answered, hint)
        }
        429 => {
            let hint = "the account's limit is reached: wait, or raise it at the provider";
            (StepCode::ProviderRateLimited, answered, hint.to_owned())
        }
        _ => {
            let said = format!("the provider answered {status}: {}", shown(&tried.body));
            let hint = "the provider may be out of order; try again";
            (StepCode::ProviderFailed, said, hint.to_owned())
        }
    }
}

fn refused(attempt: &Attempt, codes: &[RefusalCode], tried: &Tried, what: &str) -> PreflightStep {
    if attempt.step == "other_host" && tried.exit == CURL_NO_NAME {
        let detail = format!("{what}: the name does not resolve in the sandbox");
        return good(attempt.step, detail);
    }
    let code = broker_code(tried);
    if let Some(code) = code.filter(|code| codes.contains(code)) {
        let detail = format!("{what}: refused with {}", code.as_str());
        return good(attempt.step, detail);
    }
    if tried.status == 0 && CURL_NO_BROKER.contains(&tried.exit) {
        return bad(
            attempt.step,
            StepCode::BrokerUnreachable,
            format!("{what}: no answer ({})", shown(&tried.said)),
            "the egress broker may be down or busy: data_dir/log/egress.log says more",
        );
    }
    let got = match (code, tried.status) {
        (Some(code), _) => code.as_str().to_owned(),
        (None, 0) => shown(&tried.said),
        (None, status) => format!("status {status}"),
    };
    bad(
        attempt.step,
        StepCode::NotRefused,
        format!("{what}: it must be refused, but came to {got}"),
        "do not start an agent here; the broker's log says what it decided",
    )
}

/// The code of a refusal that is one of the broker's own list; anything else is a sandbox's text.
fn broker_code(tried: &Tried) -> Option<RefusalCode> {
    let body: ErrorBody = serde_json::from_str(&tried.body).ok()?;
    let mut known = RefusalCode::ALL.iter();
    known.find(|code| code.as_str() == body.error.code).copied()
}

#[cfg(test)]
mod tests {
    use miosa_api::broker::RefusalCode;

    use super::broker_code;
    use crate::preflight::script::Tried;

    #[test]
    fn only_a_code_of_the_brokers_own_list_is_one() {
        let tried = |code: &str| Tried {
            status: 403,
            body: serde_json::json!({"error": {"code": code, "message": "m"}}).to_string(),
            ..Tried::default()
        };
        let known = RefusalCode::PathNotBound;
        assert_eq!(broker_code(&tried(known.as_str())), Some(known));
        assert_eq!(broker_code(&tried("EGRESS_\u{1b}[2J")), None);
    }
}
