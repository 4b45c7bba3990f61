//! Whether the agent's program starts, and whether what it reads can be read.

use miosa_api::preflight::{PreflightStep, StepCode};

use super::{bad, good, shown, unknown};
use crate::agents::Runner;
use crate::preflight::script::{Checks, Seen, TIMED_OUT};

const NOT_FOUND: i32 = 127;

pub(super) fn steps(
    checks: &Checks<'_>,
    runner: Option<Runner>,
    seen: &Seen,
) -> Vec<PreflightStep> {
    let Some((program, runner)) = checks.program.zip(runner) else {
        return Vec::new();
    };
    let mut steps = vec![starts(program, runner, seen)];
    steps.extend(settings(program, seen));
    steps
}

fn starts(program: &str, runner: Runner, seen: &Seen) -> PreflightStep {
    let Some(ran) = &seen.agent else {
        return bad(
            "agent",
            StepCode::NoAnswer,
            format!("the sandbox did not say whether `{program}` starts"),
            "try again; the sandbox may be short of memory or processes",
        );
    };
    match ran.exit {
        0 => good("agent", format!("`{program}` starts: {}", shown(&ran.said))),
        TIMED_OUT => unknown(
            "agent",
            format!("`{program}` is there and did not tell its version in time"),
        ),
        NOT_FOUND => bad(
            "agent",
            StepCode::AgentNotInstalled,
            format!("the program `{program}` is not in this sandbox"),
            runner.install_hint(),
        ),
        exit => bad(
            "agent",
            StepCode::AgentDoesNotStart,
            format!(
                "`{program} --version` ended with {exit}: {}",
                shown(&ran.said)
            ),
            "install it again; its own words say what is missing",
        ),
    }
}

fn settings(program: &str, seen: &Seen) -> Option<PreflightStep> {
    const STEP: &str = "agent_config";
    for (path, text) in &seen.files {
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
            return Some(bad(
                STEP,
                StepCode::AgentConfigInvalid,
                format!("`{program}` reads {path}, which is no JSON: {error}"),
                "mend or remove that file in the sandbox",
            ));
        }
    }
    let read: Vec<&str> = seen.files.keys().map(String::as_str).collect();
    (!read.is_empty()).then(|| good(STEP, format!("{} can be read", read.join(", "))))
}
