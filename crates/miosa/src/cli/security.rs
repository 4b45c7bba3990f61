//! `miosa security`: does this program, on this machine, keep what it promises?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use miosa_selftest::report::{Outcome, Report, RowReport};
use miosa_selftest::{Options, rows};
use serde_json::{Value, json};

use crate::cli::error::{CliError, Fault, Result};
use crate::cli::printer::{Printer, View};
use crate::cli::settings;
use crate::roles;

/// Verbs of the security catalogue.
#[derive(Subcommand)]
pub enum Security {
    /// Try every attack of the catalogue that applies here, from inside a real sandbox
    #[command(
        after_help = "Examples:\n  miosa security selftest\n  miosa security selftest --only B3 --only 96-99 --json"
    )]
    Selftest(Selftest),
    /// List the attacks
    #[command(after_help = "Examples:\n  miosa security catalogue --json")]
    Catalogue,
}

/// What to try.
#[derive(Args)]
pub struct Selftest {
    /// Only these: a row (41), rows (41-60) or a section (B3); may be repeated
    #[arg(long, value_name = "ROWS")]
    only: Vec<String>,
    /// Folder with built template layers, to use and to add to [default: ~/.miosa/data]
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Private address range that building the template needs; may be repeated
    #[arg(long, value_name = "CIDR")]
    allow_range: Vec<IpNet>,
    /// Defence to switch off (builds for tests only): the suite must notice
    #[arg(long, value_name = "DEFENCE", hide = true)]
    weaken: Vec<String>,
}

impl Security {
    /// Runs the verb.
    pub fn run(self, printer: &Printer) -> Result<ExitCode> {
        match self {
            Self::Selftest(args) => selftest(args, printer),
            Self::Catalogue => {
                catalogue(printer);
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn selftest(args: Selftest, printer: &Printer) -> Result<ExitCode> {
    let program = std::env::current_exe().map_err(|error| CliError::file(&error))?;
    let cache = match args.cache {
        Some(folder) => folder,
        None => settings::home()?.join("data"),
    };
    let options = Options {
        program,
        cache: std::path::absolute(cache).map_err(|error| CliError::file(&error))?,
        only: args.only,
        allow_ranges: args.allow_range.iter().map(ToString::to_string).collect(),
        weaken: args.weaken,
    };
    printer.note("starting a server, two sandboxes, a provider and an attacker…");
    let told = |row: &RowReport| printer.note(&line(row));
    let report = roles::runtime()?
        .block_on(miosa_selftest::run(&options, told))
        .map_err(|error| {
            CliError::new(
                Fault::User,
                "SELFTEST_NOT_RUN",
                "the selftest could not run",
            )
            .why(format!("{error:#}"))
            .hint("`miosa doctor` says what this machine lacks")
        })?;
    let json = serde_json::to_value(&report).unwrap_or_default();
    printer.value(&json, table(&report));
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "ok",
        Outcome::Failed => "FAILED",
        Outcome::Absent => "not here",
        Outcome::Documented => "documented",
        Outcome::Tested => "by a test",
    }
}

fn line(row: &RowReport) -> String {
    let wrong = row.wrong.iter().map(|wrong| format!("\n         {wrong}"));
    format!(
        "{:>10}  {:>4} {}  {}{}",
        mark(row.outcome),
        row.id,
        row.priority,
        row.attack,
        wrong.collect::<String>()
    )
}

fn table(report: &Report) -> View {
    let rows = report.rows.iter().map(|row| {
        let seen = match (&row.reason, row.wrong.first()) {
            (Some(reason), _) => reason.clone(),
            (None, Some(wrong)) => wrong.clone(),
            (None, None) => format!("{} tried, all as required", row.steps.len()),
        };
        vec![
            row.section.clone(),
            row.id.clone(),
            row.priority.clone(),
            mark(row.outcome).to_owned(),
            row.attack.clone(),
            row.required.clone(),
            seen,
        ]
    });
    let mut all: Vec<Vec<String>> = rows.collect();
    let sum = format!(
        "{} passed, {} failed, {} not here, {} documented, {} by tests, {:.1} s",
        report.passed,
        report.failed,
        report.absent,
        report.documented,
        report.tested,
        report.milliseconds as f64 / 1000.0
    );
    all.push(vec![
        String::new(),
        String::new(),
        String::new(),
        String::new(),
        sum,
    ]);
    View::Table {
        headers: &[
            "SECTION", "ROW", "P", "OUTCOME", "TRIED", "REQUIRED", "SEEN",
        ],
        rows: all,
        empty: "nothing was run",
    }
}

fn catalogue(printer: &Printer) {
    let all = rows::SECTIONS
        .iter()
        .flat_map(|section| section.rows.iter().map(move |row| (*section, row)));
    let all: Vec<_> = all.collect();
    let json = all.iter().map(|(section, row)| {
        json!({"id": row.id, "section": section.id, "priority": row.priority.as_str(), "attack": row.attack, "required": row.required})
    });
    let table = all.iter().map(|(section, row)| {
        vec![
            section.id.to_owned(),
            row.id.to_string(),
            row.priority.as_str().to_owned(),
            row.attack.to_owned(),
            row.required.to_owned(),
        ]
    });
    printer.value(
        &Value::Array(json.collect()),
        View::Table {
            headers: &["SECTION", "ROW", "P", "ATTACK", "REQUIRED"],
            rows: table.collect(),
            empty: "no rows",
        },
    );
}
