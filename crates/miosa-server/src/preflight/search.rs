//! Whether a real value is in the sandbox: the environment of its processes, its small files, and what its
//! requests were answered.
//!
//! The bytes go to the broker, which alone knows the values and says of whose one was found; the value itself
//! is never named.

use std::collections::BTreeMap;

use axum::body::Bytes;
use miosa_api::guest::ExecStart;
use miosa_api::limits::PREFLIGHT_SEARCH_BYTES_MAX;
use miosa_api::preflight::{PreflightStep, StepCode};

use super::judge::{bad, good};
use super::script::Seen;
use crate::bindings::Bound;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App};

const STEP: &str = "real_value";
const TIMEOUT_MS: u64 = 4_000;
/// Environment first, then files below `HOME`, the working directory and where programs keep what they write;
/// what tools fill by the thousand is left out. `$1` is the working directory, `$2` the most bytes.
const GATHER: &str = r#"{ cat /proc/[0-9]*/environ
find "$HOME" "$1" /run /tmp /var/tmp -xdev \( -name node_modules -o -name .git -o -name .next -o -name .cache \
  -o -name .npm \) -prune -o -type f -size -128k -exec cat {} +
} 2>/dev/null | head -c "$2""#;

/// What was gathered in the sandbox.
pub(super) async fn gather(
    app: &App,
    sandbox: &SandboxRow,
    cwd: &str,
    env: &BTreeMap<String, String>,
) -> Result<Vec<u8>, ApiError> {
    // Room for the answers, which are searched together with it.
    let most = (PREFLIGHT_SEARCH_BYTES_MAX / 2).to_string();
    let command = ExecStart {
        argv: ["sh", "-c", GATHER, "sh", cwd, &most]
            .map(str::to_owned)
            .to_vec(),
        env: env.clone(),
        timeout_ms: Some(TIMEOUT_MS),
        ..ExecStart::default()
    };
    Ok(app.guest(&sandbox.id).exec(&command).await?.stdout)
}

/// Has the broker search it.
pub(super) async fn step(
    app: &App,
    sandbox: &SandboxRow,
    bound: &[Bound],
    gathered: Vec<u8>,
    seen: &Seen,
) -> Result<PreflightStep, ApiError> {
    let mut bytes = gathered;
    let is_whole = bytes.len() < PREFLIGHT_SEARCH_BYTES_MAX / 2;
    let answers = seen
        .tried
        .values()
        .flat_map(|tried| [&tried.body, &tried.said]);
    for text in answers.chain(seen.env.values()) {
        bytes.push(b'\n');
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes.truncate(PREFLIGHT_SEARCH_BYTES_MAX);
    let searched = bytes.len() / 1024;
    let scanned = app.broker.scan(&sandbox.id, Bytes::from(bytes)).await?;
    Ok(judge(bound, &scanned.found, searched, is_whole))
}

fn judge(bound: &[Bound], found: &[String], kib: usize, is_whole: bool) -> PreflightStep {
    if found.is_empty() {
        let rest = if is_whole {
            ""
        } else {
            "; there is more, not searched"
        };
        let detail =
            format!("no real value in {kib} KiB of its environment, small files and answers{rest}");
        return good(STEP, detail);
    }
    let uid = |id: &String| {
        let of = bound.iter().find(|bound| bound.connector.id == *id);
        of.map_or("another connector", |bound| &bound.connector.uid)
    };
    let uids: Vec<&str> = found.iter().map(uid).collect();
    bad(
        STEP,
        StepCode::RealValueFound,
        format!("the real value of {} is in the sandbox", uids.join(", ")),
        "find out who put it there, remove it, and replace the secret: it is no secret any more",
    )
}
