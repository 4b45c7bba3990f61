//! Which programs of the image trust the sandbox's certificates.

use miosa_api::preflight::{PreflightStep, StepCode};

use super::{bad, good, shown, unknown};
use crate::preflight::runtimes::{self, Handshake, Runtime, handshake};
use crate::preflight::script::Seen;

const STEP: &str = "trust";

/// One step for all of them; none when nothing was tried, since no connector is attached.
pub(super) fn step(seen: &Seen) -> Option<PreflightStep> {
    if seen.trust.is_empty() {
        return None;
    }
    let tried = |wanted: Handshake| {
        let of = move |runtime: &&Runtime| {
            let ran = seen.trust.get(runtime.program)?;
            (handshake(ran.exit, &ran.said) == wanted).then_some(())
        };
        runtimes::ALL
            .iter()
            .filter(move |runtime| of(runtime).is_some())
    };
    let names = |wanted| {
        tried(wanted)
            .map(|r| r.program)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut detail = format!("trusted by {}", or_none(&names(Handshake::Trusted)));
    let silent = names(Handshake::Unknown);
    if !silent.is_empty() {
        detail = format!("{detail}; nothing learned of {silent}");
    }
    let untrusted: Vec<&Runtime> = tried(Handshake::Untrusted).collect();
    if untrusted.is_empty() {
        return Some(if silent.is_empty() {
            good(STEP, detail)
        } else {
            unknown(STEP, detail)
        });
    }
    let said = |runtime: &&Runtime| {
        let words = seen.trust.get(runtime.program).map_or("", |ran| &ran.said);
        format!("{} ({})", runtime.program, shown(words))
    };
    let fix = |runtime: &&Runtime| format!("for `{}` {}", runtime.program, runtime.fix);
    let list = |of: &dyn Fn(&&Runtime) -> String| {
        let all: Vec<String> = untrusted.iter().map(of).collect();
        all.join(", ")
    };
    Some(bad(
        STEP,
        StepCode::TrustMissing,
        format!("not trusted by {}; {detail}", list(&said)),
        format!(
            "tell it of the sandbox's CA, /.miosa/ca-bundle.pem, and leave its variable as the sandbox sets it: {}",
            list(&fix)
        ),
    ))
}

fn or_none(names: &str) -> &str {
    if names.is_empty() { "none" } else { names }
}
