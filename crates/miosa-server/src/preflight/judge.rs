//! What was seen, judged: one step for people and programs each, with a code and what to do about it.

mod agent;
mod request;
mod trust;

use miosa_api::preflight::{PreflightStep, StepCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::script::{Checks, Seen};
use crate::agents::Runner;
use crate::bindings::Bound;

const SHOWN_CHARS: usize = 200;
/// How far two clocks may be apart: certificates and tokens of a few minutes still hold.
const SKEW_SECS_MAX: i64 = 120;

/// `now` is this server's time, in seconds since 1970.
pub(super) fn steps(
    checks: &Checks<'_>,
    runner: Option<Runner>,
    seen: &Seen,
    now: i64,
) -> Vec<PreflightStep> {
    let mut steps = vec![cwd(checks, seen), clock(checks, seen, now)];
    steps.extend(agent::steps(checks, runner, seen));
    steps.extend(checks.bound.iter().map(|bound| environment(bound, seen)));
    for (number, (bound, attempt)) in checks.attempts().into_iter().enumerate() {
        steps.push(request::step(bound, &attempt, seen.tried.get(&number)));
    }
    steps.extend(trust::step(seen));
    steps
}

pub(super) fn good(name: &str, detail: String) -> PreflightStep {
    PreflightStep {
        name: name.to_owned(),
        ok: true,
        code: StepCode::Ok,
        detail,
        hint: None,
    }
}

pub(super) fn bad(
    name: &str,
    code: StepCode,
    detail: String,
    hint: impl Into<String>,
) -> PreflightStep {
    PreflightStep {
        name: name.to_owned(),
        ok: false,
        code,
        detail,
        hint: Some(hint.into()),
    }
}

/// No failure, and nothing is known.
fn unknown(name: &str, detail: String) -> PreflightStep {
    PreflightStep {
        code: StepCode::NotTried,
        ..good(name, detail)
    }
}

fn cwd(checks: &Checks<'_>, seen: &Seen) -> PreflightStep {
    let path = &checks.cwd;
    if seen.cwd {
        return good("cwd", format!("{path} is there"));
    }
    bad(
        "cwd",
        StepCode::CwdMissing,
        format!("there is no folder {path} in the sandbox"),
        "make it, or name another with `--cwd`",
    )
}

/// The sandbox's clock against this server's, and this server's against the providers'.
fn clock(checks: &Checks<'_>, seen: &Seen, now: i64) -> PreflightStep {
    let hint = "set the clock (NTP): certificates and tokens are judged by it";
    let off = |other: i64| (other - now).abs() > SKEW_SECS_MAX;
    if let Some(inside) = seen.clock.filter(|inside| off(*inside)) {
        let detail = format!(
            "the sandbox's clock is {} s off this server's",
            inside - now
        );
        return bad("clock", StepCode::ClockWrong, detail, hint);
    }
    for (number, (bound, attempt)) in checks.attempts().into_iter().enumerate() {
        let date = seen.tried.get(&number).map_or("", |tried| &tried.date);
        let told = OffsetDateTime::parse(date, &Rfc2822).ok();
        let told = told.filter(|_| attempt.step == "probe");
        if let Some(there) = told.map(OffsetDateTime::unix_timestamp).filter(|t| off(*t)) {
            let detail = format!(
                "this server's clock is {} s off the time that the provider of {} tells",
                now - there,
                bound.connector.uid
            );
            return bad("clock", StepCode::ClockWrong, detail, hint);
        }
    }
    match seen.clock {
        Some(_) => good("clock", "the clocks agree".to_owned()),
        None => unknown("clock", "the sandbox did not tell its time".to_owned()),
    }
}

/// The value itself is never repeated.
fn environment(bound: &Bound, seen: &Seen) -> PreflightStep {
    let name = &bound.row.env_name;
    let uid = &bound.connector.uid;
    let held = seen.env.get(name).map_or("", String::as_str);
    if held == bound.row.placeholder {
        return good(
            "environment",
            format!("{name} holds the placeholder of {uid}"),
        );
    }
    let detail = if held.is_empty() {
        format!("{name} is empty in the sandbox")
    } else {
        format!("{name} holds something else than the placeholder of {uid}")
    };
    bad(
        "environment",
        StepCode::EnvironmentChanged,
        detail,
        "detach and attach the connector again",
    )
}

/// One line of what came from outside.
fn shown(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN_CHARS)
        .collect()
}

#[cfg(test)]
mod tests;
