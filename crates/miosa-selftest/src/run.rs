//! A run: every row tried, then the sweep.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::lab::{Lab, audit_since};
use crate::oracle::{self, Traces, missing_codes};
use crate::report::{Outcome, Report, RowReport};
use crate::row::{Check, Row, Section};
use crate::rows::SECTIONS;
use crate::sweep;
use crate::trial::Trial;

/// How long the audit may lag behind an answer.
const AUDIT_LAG_MAX: Duration = Duration::from_secs(3);
/// Time between two looks at it.
const AUDIT_LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is to be run, and with what.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The `miosa` program.
    pub program: PathBuf,
    /// Folder with built template layers (`layers` below it), to use and to add to.
    pub cache: PathBuf,
    /// Rows (`41`), ranges (`41-60`) and sections (`B3`) to run; all when empty.
    pub only: Vec<String>,
    /// Special address ranges a template's build needs.
    pub allow_ranges: Vec<String>,
    /// Defences to switch off, for the suite's own test. Refused by a program without the switches.
    pub weaken: Vec<String>,
}

/// Runs the catalogue; `progress` hears of each row as it ends.
pub async fn run(options: &Options, mut progress: impl FnMut(&RowReport)) -> Result<Report> {
    let chosen = choose(&options.only)?;
    let started = Instant::now();
    let lab = Lab::start(options).await?;
    let mut rows = Vec::new();
    for (section, row) in chosen {
        let report = one(&lab, section, row).await;
        progress(&report);
        rows.push(report);
    }
    if options.only.is_empty() {
        for report in sweep::sweep(&lab).await {
            progress(&report);
            rows.push(report);
        }
    }
    let leftovers = lab.world.end().await?;
    let report = sweep::leftovers(leftovers);
    progress(&report);
    rows.push(report);
    Ok(Report::new(rows, started.elapsed()))
}

/// The rows that are meant, each with its section.
fn choose(only: &[String]) -> Result<Vec<(&'static Section, &'static Row)>> {
    let all = SECTIONS
        .iter()
        .flat_map(|section| section.rows.iter().map(move |row| (*section, row)));
    if only.is_empty() {
        return Ok(all.collect());
    }
    for word in only {
        let is_known = SECTIONS
            .iter()
            .any(|section| section.rows.iter().any(|row| is_meant(word, section, row)));
        ensure!(
            is_known,
            "the catalogue has no row or section `{word}`: give a number (41), a range (41-60) or a section (B3)"
        );
    }
    Ok(all
        .filter(|(section, row)| only.iter().any(|word| is_meant(word, section, row)))
        .collect())
}

fn is_meant(word: &str, section: &Section, row: &Row) -> bool {
    if word.eq_ignore_ascii_case(section.id) {
        return true;
    }
    let number = |text: &str| {
        text.trim_start_matches("row")
            .trim_start_matches(['_', '-', ' '])
            .parse::<u16>()
            .ok()
    };
    match word.split_once('-') {
        Some((from, to)) => number(from)
            .zip(number(to))
            .is_some_and(|(from, to)| (from..=to).contains(&row.id)),
        None => number(word) == Some(row.id),
    }
}

async fn one(lab: &Lab, section: &'static Section, row: &'static Row) -> RowReport {
    let reason = match row.check {
        Check::Absent(reason) => Some((Outcome::Absent, reason)),
        Check::Documented(reason) => Some((Outcome::Documented, reason)),
        Check::Tested(name) => Some((Outcome::Tested, name)),
        Check::Inside | Check::Outside(_) => None,
    };
    if let Some((outcome, reason)) = reason {
        return RowReport::without_run(section, row, outcome, reason);
    }
    let started = Instant::now();
    let before = (
        lab.stand.attacker.received().len(),
        lab.stand.log.count(),
        audit_len(lab),
    );
    let mut trial = Trial::new(lab, section, row);
    let result = match row.check {
        Check::Outside(check) => check(&mut trial).await,
        _ => trial
            .inside(&format!("row_{:03}", row.id), serde_json::Value::Null)
            .await
            .map(drop),
    };
    let (steps, received) = (trial.steps, trial.received);
    let audit_codes = audit_codes(lab, before.2, &steps).await;
    let mut wrong = oracle::violations(
        &steps,
        &Traces {
            canaries: &lab.canaries,
            attacker: &lab.stand.attacker.received()[before.0..],
            inside: &received,
            provider: &lab.stand.log.since(before.1),
            audit_codes: &audit_codes,
        },
    );
    match result {
        Err(error) => wrong.push(format!("the check itself failed: {error:#}")),
        Ok(()) if steps.is_empty() => wrong.push("the check tried nothing".to_owned()),
        Ok(()) => {}
    }
    RowReport::of_run(section, row, &steps, wrong, started.elapsed())
}

fn audit_len(lab: &Lab) -> u64 {
    std::fs::metadata(lab.audit_file()).map_or(0, |meta| meta.len())
}

/// Codes in the audit since then; waits a little for those that were answered.
async fn audit_codes(lab: &Lab, offset: u64, steps: &[crate::trial::Step]) -> Vec<String> {
    let deadline = Instant::now() + AUDIT_LAG_MAX;
    loop {
        let events = audit_since(&lab.audit_file(), offset);
        let codes = events.iter().filter_map(|event| event["code"].as_str());
        let codes: Vec<String> = codes.map(str::to_owned).collect();
        if missing_codes(steps, &codes).is_empty() || Instant::now() > deadline {
            return codes;
        }
        tokio::time::sleep(AUDIT_LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_number_range_and_section() {
        let ids = |only: &[&str]| -> Result<Vec<u16>> {
            let only: Vec<String> = only.iter().map(|word| (*word).to_owned()).collect();
            Ok(choose(&only)?.iter().map(|(_, row)| row.id).collect())
        };
        assert_eq!(ids(&["1", "3-4"]).unwrap(), [1, 3, 4]);
        let first: Vec<u16> = SECTIONS[0].rows.iter().map(|row| row.id).collect();
        assert_eq!(ids(&["b1"]).unwrap(), first);
        assert!(ids(&["9999"]).is_err());
        assert!(ids(&["nonsense"]).is_err());
    }
}
