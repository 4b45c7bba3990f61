//! From a caller's command to what the guest agent is asked to run, with all limits checked.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miosa_api::error::ErrorCode;
use miosa_api::exec::{Command, ExecRequest, StartCommand};
use miosa_api::guest::{ExecStart, Process};
use miosa_api::limits::EXEC_TIMEOUT_MAX;

use crate::clock::rfc3339;
use crate::store::sandboxes::SandboxRow;
use crate::{ApiError, App, admission, env};

/// Signal of `kill`.
pub(crate) const SIGKILL: i32 = 9;

/// An attached command. Without a timeout it gets the longest one.
pub(crate) async fn attached(
    app: &App,
    row: &SandboxRow,
    body: ExecRequest,
) -> Result<ExecStart, ApiError> {
    let timeout_ms = timeout_ms(body.timeout)?.unwrap_or(EXEC_TIMEOUT_MAX.as_millis() as u64);
    // An attached command without input reads end of file.
    let stdin = Some(body.stdin.unwrap_or_default());
    let mut start = start(app, row, body.command, body.cwd, body.env, body.user, stdin).await?;
    start.timeout_ms = Some(timeout_ms);
    Ok(start)
}

/// A detached command.
pub(crate) async fn detached(
    app: &App,
    row: &SandboxRow,
    body: StartCommand,
) -> Result<ExecStart, ApiError> {
    let timeout_ms = timeout_ms(body.timeout)?;
    let mut start = start(
        app,
        row,
        body.command,
        body.cwd,
        body.env,
        body.user,
        body.stdin,
    )
    .await?;
    start.timeout_ms = timeout_ms;
    start.name = body.name;
    Ok(start)
}

async fn start(
    app: &App,
    row: &SandboxRow,
    command: String,
    cwd: Option<String>,
    vars: BTreeMap<String, String>,
    user: Option<String>,
    stdin: Option<String>,
) -> Result<ExecStart, ApiError> {
    if command.trim().is_empty() {
        return Err(ApiError::invalid("command", "there is nothing to run"));
    }
    if command.contains('\0') {
        return Err(ApiError::invalid("command", "a NUL byte"));
    }
    vars.iter()
        .try_for_each(|(name, value)| admission::check_var(name, value))?;
    let workdir = row.image().workdir;
    Ok(ExecStart {
        shell: Some(command),
        cwd: Some(
            cwd.filter(|cwd| !cwd.is_empty())
                .map_or_else(|| workdir.clone(), |cwd| absolute(&workdir, &cwd)),
        ),
        env: env::compose(app, row, &vars).await?,
        user: user.filter(|user| !user.is_empty()),
        stdin_base64: stdin.map(|text| STANDARD.encode(text)),
        ..ExecStart::default()
    })
}

/// A path inside, counted from the working directory when it is relative.
pub(crate) fn absolute(workdir: &str, path: &str) -> String {
    if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", workdir.trim_end_matches('/'))
    }
}

fn timeout_ms(seconds: Option<f64>) -> Result<Option<u64>, ApiError> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    if !seconds.is_finite() || seconds <= 0.0 {
        return Err(ApiError::invalid("timeout", "more than 0 seconds"));
    }
    if seconds > EXEC_TIMEOUT_MAX.as_secs_f64() {
        return Err(ApiError::new(
            ErrorCode::TimeoutTooLong,
            format!("timeout: at most {} seconds", EXEC_TIMEOUT_MAX.as_secs()),
        )
        .with_hint("start it detached: `miosa sandbox exec --detached`, or as a service"));
    }
    Ok(Some((seconds * 1000.0).ceil() as u64))
}

/// A detached command as callers see it.
pub(crate) fn shown(process: Process) -> Command {
    let status = match process.exit {
        None => "running",
        Some(exit) if exit.signal.is_some() => "killed",
        Some(_) => "exited",
    };
    Command {
        id: process.id,
        pid: process.pid,
        name: process.name,
        command: process.command,
        status: status.to_owned(),
        exit_code: process.exit.map(|exit| exit.code),
        started_at: rfc3339(process.started_at.saturating_mul(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::{absolute, timeout_ms};

    #[test]
    fn a_timeout_is_positive_and_at_most_ten_minutes() {
        assert_eq!(timeout_ms(None).expect("none"), None);
        assert_eq!(timeout_ms(Some(0.5)).expect("half a second"), Some(500));
        assert_eq!(timeout_ms(Some(600.0)).expect("the longest"), Some(600_000));
        for bad in [0.0, -1.0, 600.1, f64::NAN, f64::INFINITY] {
            assert!(timeout_ms(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn relative_paths_count_from_the_working_directory() {
        assert_eq!(absolute("/workspace", "a/b"), "/workspace/a/b");
        assert_eq!(absolute("/", "a"), "/a");
        assert_eq!(absolute("/workspace", "/etc/hosts"), "/etc/hosts");
    }
}
