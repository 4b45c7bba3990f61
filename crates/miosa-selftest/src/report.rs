//! What a run found, for programs (`serde`) and in lines for people.

use std::time::Duration;

use serde::Serialize;

use crate::row::{Row, Section};
use crate::trial::Step;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was as required.
    Passed,
    /// Something was not.
    Failed,
    /// What the row is about does not exist here.
    Absent,
    /// No defence removes it; it is written down.
    Documented,
    /// A test of the project holds it, not a run.
    Tested,
}

/// One thing that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// What.
    pub tried: String,
    /// What must happen.
    pub required: String,
    /// What happened.
    pub seen: String,
    /// Whether that is as required.
    pub ok: bool,
}

/// One row.
#[derive(Debug, Clone, Serialize)]
pub struct RowReport {
    /// Its number, or `O1`–`O3`, `leftovers`.
    pub id: String,
    /// Its section.
    pub section: String,
    /// `P0`, `P1` or `P2`.
    pub priority: String,
    /// What is tried.
    pub attack: String,
    /// What must happen.
    pub required: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was not run, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its steps.
    pub steps: Vec<StepReport>,
    /// Everything that is wrong.
    pub wrong: Vec<String>,
    /// How long it took.
    pub milliseconds: u128,
}

/// A whole run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether no row failed.
    pub ok: bool,
    /// Rows that passed.
    pub passed: usize,
    /// Rows that failed.
    pub failed: usize,
    /// Rows about what does not exist here.
    pub absent: usize,
    /// Rows no defence removes.
    pub documented: usize,
    /// Rows held by tests of the project.
    pub tested: usize,
    /// How long it took.
    pub milliseconds: u128,
    /// All rows.
    pub rows: Vec<RowReport>,
}

impl Report {
    pub(crate) fn new(rows: Vec<RowReport>, took: Duration) -> Self {
        let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
        let failed = count(Outcome::Failed);
        Self {
            ok: failed == 0,
            passed: count(Outcome::Passed),
            failed,
            absent: count(Outcome::Absent),
            documented: count(Outcome::Documented),
            tested: count(Outcome::Tested),
            milliseconds: took.as_millis(),
            rows,
        }
    }
}

impl RowReport {
    pub(crate) fn of_run(
        section: &Section,
        row: &Row,
        steps: &[Step],
        mut wrong: Vec<String>,
        took: Duration,
    ) -> Self {
        let failed = steps.iter().filter(|step| !step.ok);
        wrong.extend(
            failed.map(|step| format!("{}: {}, not {}", step.name, step.seen, step.required)),
        );
        let steps = steps.iter().map(|step| StepReport {
            tried: step.name.clone(),
            required: step.required.clone(),
            seen: step.seen.clone(),
            ok: step.ok,
        });
        let outcome = if wrong.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        Self {
            steps: steps.collect(),
            wrong,
            milliseconds: took.as_millis(),
            ..Self::without_run(section, row, outcome, "")
        }
    }

    pub(crate) fn without_run(
        section: &Section,
        row: &Row,
        outcome: Outcome,
        reason: &str,
    ) -> Self {
        Self {
            id: row.id.to_string(),
            section: section.id.to_owned(),
            priority: row.priority.as_str().to_owned(),
            attack: row.attack.to_owned(),
            required: row.required.to_owned(),
            outcome,
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            steps: Vec::new(),
            wrong: Vec::new(),
            milliseconds: 0,
        }
    }

    /// One that is about the whole run.
    pub(crate) fn of_all(id: &str, required: &str, looked_at: &str, wrong: Vec<String>) -> Self {
        Self {
            id: id.to_owned(),
            section: "all".to_owned(),
            priority: "P0".to_owned(),
            attack: "everything above".to_owned(),
            required: required.to_owned(),
            outcome: if wrong.is_empty() {
                Outcome::Passed
            } else {
                Outcome::Failed
            },
            reason: None,
            steps: vec![StepReport {
                tried: looked_at.to_owned(),
                required: required.to_owned(),
                seen: if wrong.is_empty() {
                    "nothing".to_owned()
                } else {
                    wrong.join("; ")
                },
                ok: wrong.is_empty(),
            }],
            wrong,
            milliseconds: 0,
        }
    }
}
