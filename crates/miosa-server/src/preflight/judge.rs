//! What was seen, judged: one step for people and programs each, with what to do about it.

use miosa_api::broker::RefusalCode;
use miosa_api::connector::PreflightStep;
use miosa_api::error::ErrorBody;

use super::attempts::{Attempt, Expect};
use super::script::{Checks, Seen, Tried};
use crate::agents::Runner;
use crate::bindings::Bound;

/// curl: could not resolve the host.
const CURL_NO_NAME: i32 = 6;
const COMMAND_NOT_FOUND: i32 = 127;
const SHOWN_CHARS: usize = 200;

pub(super) fn steps(
    checks: &Checks<'_>,
    runner: Option<Runner>,
    seen: &Seen,
) -> Vec<PreflightStep> {
    let mut steps = vec![cwd(checks, seen)];
    steps.extend(agent(checks, runner, seen));
    steps.extend(checks.bound.iter().map(|bound| environment(bound, seen)));
    for (number, (bound, attempt)) in checks.attempts().into_iter().enumerate() {
        steps.push(request(bound, &attempt, seen.tried.get(&number)));
    }
    steps
}

fn step(name: &str, ok: bool, detail: String, hint: impl Into<String>) -> PreflightStep {
    PreflightStep {
        name: name.to_owned(),
        ok,
        detail,
        hint: (!ok).then(|| hint.into()),
    }
}

fn cwd(checks: &Checks<'_>, seen: &Seen) -> PreflightStep {
    let path = &checks.cwd;
    if seen.cwd {
        return step("cwd", true, format!("{path} is there"), "");
    }
    step(
        "cwd",
        false,
        format!("there is no folder {path} in the sandbox"),
        "make it, or name another with `--cwd`",
    )
}

fn agent(checks: &Checks<'_>, runner: Option<Runner>, seen: &Seen) -> Option<PreflightStep> {
    let (program, runner) = (checks.program?, runner?);
    Some(if seen.agent {
        step("agent", true, format!("`{program}` is there"), "")
    } else {
        let detail = format!("the program `{program}` is not in this sandbox");
        step("agent", false, detail, runner.install_hint())
    })
}

/// The value itself is never repeated.
fn environment(bound: &Bound, seen: &Seen) -> PreflightStep {
    let name = &bound.row.env_name;
    let held = seen.env.get(name).map_or("", String::as_str);
    if held == bound.row.placeholder {
        return step(
            "environment",
            true,
            format!("{name} holds the placeholder of {}", bound.connector.uid),
            "",
        );
    }
    let detail = if held.is_empty() {
        format!("{name} is empty in the sandbox")
    } else {
        format!(
            "{name} holds something else than the placeholder of {}",
            bound.connector.uid
        )
    };
    step(
        "environment",
        false,
        detail,
        "detach and attach the connector again",
    )
}

fn request(bound: &Bound, attempt: &Attempt, tried: Option<&Tried>) -> PreflightStep {
    let what = format!("{} {}", attempt.method, attempt.url);
    let Some(tried) = tried else {
        let detail = format!("{what}: the sandbox gave no answer in time");
        return step(
            attempt.step,
            false,
            detail,
            "try again; the sandbox may be short of memory or processes",
        );
    };
    if tried.exit == COMMAND_NOT_FOUND {
        return step(
            attempt.step,
            false,
            "`curl` is not in this sandbox".to_owned(),
            "use a template that has curl",
        );
    }
    match &attempt.expect {
        Expect::Status(good) => worked(bound, attempt, good, tried, &what),
        Expect::Refused(codes) => refused(attempt, codes, tried, &what),
    }
}

fn worked(
    bound: &Bound,
    attempt: &Attempt,
    good: &[u16],
    tried: &Tried,
    what: &str,
) -> PreflightStep {
    let uid = &bound.connector.uid;
    if good.contains(&tried.status) {
        return step(
            attempt.step,
            true,
            format!("{what}: {} with the credential of {uid}", tried.status),
            "",
        );
    }
    let (detail, hint) = match (broker_code(tried), tried.status) {
        (Some(code), _) => (
            format!("{what}: the egress broker refused it with {code}"),
            "the sandbox's audit (`GET /egress/audit?resource_id=…`) says more".to_owned(),
        ),
        (None, 0) => (
            format!("{what}: no answer ({})", shown(&tried.said)),
            "look whether this server reaches the provider".to_owned(),
        ),
        (None, 401 | 403) => (
            format!(
                "{what}: the provider answered {} to the credential of {uid}",
                tried.status
            ),
            format!(
                "the stored secret of {uid} is wrong or was withdrawn: replace it, placeholders stay"
            ),
        ),
        (None, status) => (
            format!(
                "{what}: the provider answered {status}: {}",
                shown(&tried.body)
            ),
            "the provider may be out of order; try again".to_owned(),
        ),
    };
    step(attempt.step, false, detail, hint)
}

fn refused(attempt: &Attempt, codes: &[RefusalCode], tried: &Tried, what: &str) -> PreflightStep {
    if attempt.step == "other_host" && tried.exit == CURL_NO_NAME {
        return step(
            attempt.step,
            true,
            format!("{what}: the name does not resolve in the sandbox"),
            "",
        );
    }
    let code = broker_code(tried);
    if let Some(code) = code
        .as_deref()
        .filter(|code| codes.iter().any(|c| c.as_str() == *code))
    {
        return step(
            attempt.step,
            true,
            format!("{what}: refused with {code}"),
            "",
        );
    }
    let got = code.unwrap_or_else(|| match tried.status {
        0 => shown(&tried.said),
        status => format!("status {status}"),
    });
    let detail = format!("{what}: it must be refused, but came to {got}");
    step(
        attempt.step,
        false,
        detail,
        "do not start an agent here; the broker's log says what it decided",
    )
}

/// The code of a refusal that is one of the broker's own list; anything else is a sandbox's text.
fn broker_code(tried: &Tried) -> Option<String> {
    let body: ErrorBody = serde_json::from_str(&tried.body).ok()?;
    let is_known = |code: &String| RefusalCode::ALL.iter().any(|known| known.as_str() == code);
    Some(body.error.code).filter(is_known)
}

fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN_CHARS)
        .collect()
}

#[cfg(test)]
mod tests;
