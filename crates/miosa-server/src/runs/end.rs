//! How a run ends: by itself, by its timeout, by a caller, or because its sandbox is gone.

use std::time::Duration;

use miosa_api::error::ErrorCode;
use miosa_api::guest::Exit;
use miosa_api::run::RunStatus;
use serde_json::json;

use super::end_without_process;
use crate::agents::{AgentEvent, Outcome};
use crate::store::runs::{self, Ending, RunRow};
use crate::{ApiError, App};

/// Between SIGTERM and SIGKILL for a run that is cancelled.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// An end without an exit status.
pub(super) fn failed(why: &str) -> Ending {
    Ending {
        status: RunStatus::Failed,
        exit_code: None,
        error: Some(why.to_owned()),
    }
}

fn canceled(exit_code: Option<i64>) -> Ending {
    Ending {
        status: RunStatus::Canceled,
        exit_code,
        error: Some("canceled by a caller".to_owned()),
    }
}

/// What an exit means, given what the agent said and whether a caller wanted it.
pub(super) fn of_exit(exit: Exit, outcome: &Outcome, cancel_requested: bool) -> Ending {
    let exit_code = Some(i64::from(exit.code));
    if cancel_requested {
        return canceled(exit_code);
    }
    let error = if exit.timed_out {
        Some("the run's timeout ended it".to_owned())
    } else if let Some(signal) = exit.signal {
        Some(format!("the agent was ended by signal {signal}"))
    } else if let Some(why) = &outcome.failure {
        Some(why.clone())
    } else if exit.code != 0 {
        Some(format!("the agent ended with exit status {}", exit.code))
    } else {
        None
    };
    let status = if error.is_some() {
        RunStatus::Failed
    } else {
        RunStatus::Succeeded
    };
    Ending {
        status,
        exit_code,
        error,
    }
}

/// The last event of a run.
pub(super) fn event(ending: &Ending) -> AgentEvent {
    let message = ending.error.as_deref().unwrap_or("the agent has finished");
    AgentEvent::new(
        "run.finished",
        message,
        &json!({ "status": ending.status.as_str(), "exit_code": ending.exit_code, "error": ending.error }),
    )
}

/// Stops a run: SIGTERM, after a grace SIGKILL. The follower writes down the end.
pub async fn cancel(app: &App, run: &RunRow) -> Result<(), ApiError> {
    if run.status().is_final() {
        return Err(ApiError::new(
            ErrorCode::RunEnded,
            format!("the run has ended: {}", run.status().as_str()),
        ));
    }
    runs::request_cancel(&app.pool, &run.id).await?;
    let Some(process_id) = run.process_id.clone() else {
        return end_without_process(app, run, canceled(None)).await;
    };
    let guest = app.guest(&run.sandbox_id);
    if let Err(error) = guest.signal(&process_id, libc::SIGTERM).await {
        tracing::warn!(%error, run = run.id, "a run's process could not be reached to be cancelled");
        return end_without_process(app, run, canceled(None)).await;
    }
    let (app, run_id) = (app.clone(), run.id.clone());
    app.clone().tasks.spawn(async move {
        let ended = super::wait(&app, &run_id, CANCEL_GRACE).await;
        if ended.is_ok_and(|run| !run.status().is_final()) {
            // It may have ended in this very moment.
            let _ = guest.signal(&process_id, libc::SIGKILL).await;
        }
    });
    Ok(())
}

/// Stops every run in a sandbox; their ids.
pub async fn stop_all(app: &App, sandbox_id: &str) -> Result<Vec<String>, ApiError> {
    let mut stopped = Vec::new();
    for run in runs::unfinished_of(&app.pool, sandbox_id).await? {
        match cancel(app, &run).await {
            Ok(()) => stopped.push(run.id),
            Err(error) if error.code == ErrorCode::RunEnded => {}
            Err(error) => return Err(error),
        }
    }
    Ok(stopped)
}

#[cfg(test)]
mod tests {
    use miosa_api::guest::Exit;
    use miosa_api::run::RunStatus;

    use super::of_exit;
    use crate::agents::Outcome;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn a_run_succeeds_only_when_status_and_agent_agree() {
        let good = Exit {
            code: 0,
            signal: None,
            timed_out: false,
        };
        let said = Outcome {
            failure: Some("the agent reports an error: TLS".into()),
            ..Outcome::default()
        };
        let quiet = Outcome::default();
        let rows = [
            (good, &quiet, false, RunStatus::Succeeded, None),
            (good, &said, false, RunStatus::Failed, Some("TLS")),
            (
                Exit { code: 1, ..good },
                &said,
                false,
                RunStatus::Failed,
                Some("TLS"),
            ),
            (
                Exit { code: 3, ..good },
                &quiet,
                false,
                RunStatus::Failed,
                Some("exit status 3"),
            ),
            (
                Exit {
                    code: 124,
                    signal: Some(15),
                    timed_out: true,
                },
                &quiet,
                false,
                RunStatus::Failed,
                Some("timeout"),
            ),
            (
                Exit {
                    code: 137,
                    signal: Some(9),
                    timed_out: false,
                },
                &quiet,
                false,
                RunStatus::Failed,
                Some("signal 9"),
            ),
            (
                Exit {
                    code: 143,
                    signal: Some(15),
                    timed_out: false,
                },
                &quiet,
                true,
                RunStatus::Canceled,
                Some("caller"),
            ),
            (good, &quiet, true, RunStatus::Canceled, Some("caller")),
        ];
        for (exit, outcome, cancel, status, error) in rows {
            let ending = of_exit(exit, outcome, cancel);
            assert_eq!(ending.status, status, "{exit:?}");
            assert_eq!(ending.error.is_some(), error.is_some(), "{exit:?}");
            assert!(
                error.is_none_or(|part| ending.error.unwrap().contains(part)),
                "{exit:?}"
            );
        }
    }
}
