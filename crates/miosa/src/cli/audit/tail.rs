//! The newest events, and those that come.

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use miosa_api::audit::AuditEvent;
use miosa_client::{AuditQuery, Client};

use super::{Narrow, row};
use crate::cli::error::{CliError, Result};
use crate::cli::printer::{Printer, View};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Events a look takes; a page of the server has no more.
const PAGE: u32 = 1000;

/// Which events.
#[derive(Args)]
pub struct Tail {
    #[command(flatten)]
    narrow: Narrow,
    /// How many of those that are there
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    lines: u32,
    /// Go on with those that come, until interrupted
    #[arg(short, long)]
    follow: bool,
}

/// Runs the verb: one line an event, JSON with `--json`.
pub async fn tail(args: Tail, client: &Client, printer: &Printer) -> Result<ExitCode> {
    let mut query = AuditQuery {
        limit: Some(args.lines.max(1)),
        ..args.narrow.query()
    };
    let mut events = client.audit(&query).await?.data()?;
    if args.lines == 0 {
        events.clear();
    }
    let mut seen = Seen::default();
    for event in seen.news(events) {
        show(event, printer)?;
    }
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    query.limit = Some(PAGE);
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // The last moment again: several events may share it.
        query.since = Some(seen.last.clone().unwrap_or_else(|| "5s".to_owned()));
        for event in seen.news(everything(client, &query).await?) {
            show(event, printer)?;
        }
    }
}

/// All events of a query, newest first.
async fn everything(client: &Client, query: &AuditQuery) -> Result<Vec<AuditEvent>> {
    let mut query = query.clone();
    let mut all = Vec::new();
    loop {
        let answer = client.audit(&query).await?;
        all.extend(answer.data()?);
        match answer.envelope()["next_cursor"].as_str() {
            Some(cursor) => query.cursor = Some(cursor.to_owned()),
            None => return Ok(all),
        }
    }
}

/// What was shown of the last moment.
#[derive(Default)]
struct Seen {
    last: Option<String>,
    ids: HashSet<String>,
}

impl Seen {
    /// Those not shown yet, oldest first.
    fn news(&mut self, mut events: Vec<AuditEvent>) -> Vec<AuditEvent> {
        events.reverse();
        let ids: HashSet<String> = events.iter().map(|event| event.id.clone()).collect();
        events.retain(|event| !self.ids.contains(&event.id));
        self.ids.extend(ids.iter().cloned());
        if let Some(event) = events.last() {
            self.last = Some(event.inserted_at.clone());
            self.ids = ids;
        }
        events
    }
}

fn show(event: AuditEvent, printer: &Printer) -> Result<()> {
    if printer.json {
        let line = serde_json::to_string(&event)
            .map_err(|error| CliError::user("CLI_INTERNAL", error.to_string()))?;
        printer.line(&line);
    } else {
        printer.view(View::Line(row(event).join("  ")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use miosa_api::audit::AuditEvent;

    use super::Seen;

    fn event(id: &str, at: &str) -> AuditEvent {
        AuditEvent {
            id: id.to_owned(),
            inserted_at: at.to_owned(),
            ..AuditEvent::default()
        }
    }

    #[test]
    fn each_event_is_shown_once_and_the_oldest_first() {
        let mut seen = Seen::default();
        let mut ids = |events| -> Vec<String> {
            seen.news(events)
                .into_iter()
                .map(|event| event.id)
                .collect()
        };
        assert_eq!(ids(vec![event("b", "2"), event("a", "1")]), ["a", "b"]);
        assert_eq!(ids(vec![event("b", "2")]), [""; 0]);
        assert_eq!(
            ids(vec![event("d", "3"), event("c", "2"), event("b", "2")]),
            ["c", "d"]
        );
        assert_eq!(ids(vec![event("d", "3")]), [""; 0]);
        assert_eq!(seen.last.as_deref(), Some("3"));
    }
}
