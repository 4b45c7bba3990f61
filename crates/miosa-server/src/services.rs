//! Services: detached commands with a name, kept as they were started, one running of a name.
//!
//! The note in the database says what a service *is*; the guest agent says whether it *runs*. So a
//! service outlives a stop of its sandbox, and a restart is exactly the start again.

use std::collections::BTreeMap;
use std::time::Duration;

use miosa_api::error::ErrorCode;
use miosa_api::exec::StartCommand;
use miosa_api::guest::Process;
use serde_json::{Value, json};

use crate::command::{self, SIGKILL};
use crate::guest::Guest;
use crate::store::sandboxes::SandboxRow;
use crate::store::services;
use crate::{ApiError, App};

const NAME_BYTES_MAX: usize = 64;
/// How long a killed service may take until it is gone; then the new one is started all the same.
const END_PATIENCE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Starts a service, ends what ran under its name, and keeps how it was started.
pub(crate) async fn start(
    app: &App,
    row: &SandboxRow,
    body: StartCommand,
) -> Result<Value, ApiError> {
    let name = checked_name(body.name.as_deref())?;
    let begin = command::detached(app, row, body.clone()).await?;
    let guest = app.guest(&row.id);
    end(&guest, &name).await?;
    let process = guest.start(&begin).await?;
    services::save(&app.pool, &row.id, &name, &body).await?;
    Ok(shown(&body, Some(process)))
}

/// Starts a service again, with the sandbox's variables as they are now.
pub(crate) async fn restart(app: &App, row: &SandboxRow, name: &str) -> Result<Value, ApiError> {
    start(app, row, known(app, &row.id, name).await?).await
}

/// Ends and forgets a service.
pub(crate) async fn remove(app: &App, row: &SandboxRow, name: &str) -> Result<(), ApiError> {
    known(app, &row.id, name).await?;
    end(&app.guest(&row.id), name).await?;
    services::remove(&app.pool, &row.id, name).await?;
    Ok(())
}

/// How a service is.
pub(crate) async fn get(app: &App, row: &SandboxRow, name: &str) -> Result<Value, ApiError> {
    let start = known(app, &row.id, name).await?;
    let process = newest(&app.guest(&row.id).processes().await?, name);
    Ok(shown(&start, process))
}

/// How all services are.
pub(crate) async fn list(app: &App, row: &SandboxRow) -> Result<Vec<Value>, ApiError> {
    let processes = app.guest(&row.id).processes().await?;
    let all = services::list(&app.pool, &row.id).await?;
    let one = |start: StartCommand| {
        let process = newest(&processes, start.name.as_deref().unwrap_or_default());
        shown(&start, process)
    };
    Ok(all.into_iter().map(one).collect())
}

/// Id of the process whose output is the service's log; none after the sandbox was stopped.
pub(crate) async fn process_id(
    app: &App,
    row: &SandboxRow,
    name: &str,
) -> Result<Option<String>, ApiError> {
    known(app, &row.id, name).await?;
    let processes = app.guest(&row.id).processes().await?;
    Ok(newest(&processes, name).map(|process| process.id))
}

async fn known(app: &App, sandbox_id: &str, name: &str) -> Result<StartCommand, ApiError> {
    services::get(&app.pool, sandbox_id, name)
        .await?
        .ok_or_else(|| {
            ApiError::new(
                ErrorCode::NotFound,
                format!("there is no service {name} in this sandbox"),
            )
        })
}

/// Kills what runs under a name, and waits until it is gone, so that its port is free.
async fn end(guest: &Guest, name: &str) -> Result<(), ApiError> {
    for process in guest.processes().await? {
        if process.exit.is_some() || process.name.as_deref() != Some(name) {
            continue;
        }
        guest.signal(&process.id, SIGKILL).await?;
        let gone = async {
            while guest.process(&process.id).await?.exit.is_none() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok::<_, ApiError>(())
        };
        if let Ok(looked) = tokio::time::timeout(END_PATIENCE, gone).await {
            looked?;
        }
    }
    Ok(())
}

/// The one that runs, else the one that was started last.
fn newest(processes: &[Process], name: &str) -> Option<Process> {
    let named = processes
        .iter()
        .filter(|process| process.name.as_deref() == Some(name));
    named
        .max_by_key(|process| (process.exit.is_none(), process.started_at, process.pid))
        .cloned()
}

fn checked_name(name: Option<&str>) -> Result<String, ApiError> {
    let name = name.unwrap_or_default();
    let fine = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if fine {
        return Ok(name.to_owned());
    }
    Err(ApiError::invalid(
        "name",
        format!("1 to {NAME_BYTES_MAX} letters, digits, `_`, `.` and `-`"),
    ))
}

fn shown(start: &StartCommand, process: Option<Process>) -> Value {
    let mut shown = json!({
        "name": start.name,
        "command": start.command,
        "cwd": start.cwd,
        "env_keys": start.env.keys().collect::<Vec<_>>(),
        "status": "stopped",
    });
    if let Some(process) = process {
        let command = command::shown(process);
        let more = BTreeMap::from([
            ("id", json!(command.id)),
            ("pid", json!(command.pid)),
            ("status", json!(command.status)),
            ("exit_code", json!(command.exit_code)),
            ("started_at", json!(command.started_at)),
        ]);
        for (key, value) in more {
            shown[key] = value;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use miosa_api::exec::StartCommand;
    use miosa_api::guest::{Exit, Process};

    use super::{checked_name, newest, shown};

    fn process(id: &str, started_at: i64, ended: bool) -> Process {
        Process {
            id: id.to_owned(),
            pid: 7,
            name: Some("web".to_owned()),
            command: "beginning of…".to_owned(),
            started_at,
            exit: ended.then_some(Exit {
                code: 0,
                signal: None,
                timed_out: false,
            }),
            output_bytes: 0,
        }
    }

    #[test]
    fn the_process_that_runs_is_the_service_and_else_the_last_one() {
        let pick = |all: &[Process]| newest(all, "web").map(|process| process.id);
        let (old, new) = (process("p1", 1, false), process("p2", 2, true));
        assert_eq!(pick(&[old, new.clone()]).as_deref(), Some("p1"));
        assert_eq!(pick(&[process("p1", 1, true), new]).as_deref(), Some("p2"));
        assert_eq!(newest(&[process("p1", 1, false)], "other"), None);
    }

    #[test]
    fn a_service_shows_the_whole_command_and_no_value_of_a_variable() {
        let start = StartCommand {
            command: "the whole command".to_owned(),
            env: [("TOKEN".to_owned(), "s3cret".to_owned())].into(),
            ..StartCommand::default()
        };
        let text = shown(&start, Some(process("p1", 1, false))).to_string();
        assert!(
            text.contains("the whole command") && text.contains("TOKEN"),
            "{text}"
        );
        assert!(!text.contains("s3cret") && !text.contains('…'), "{text}");
    }

    #[test]
    fn names_fit_a_path_segment_and_a_shell() {
        assert!(checked_name(Some("web-1.x_y")).is_ok());
        for bad in ["", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(checked_name(Some(bad)).is_err(), "{bad}");
        }
    }
}
