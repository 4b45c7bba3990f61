//! The catalogue as a whole: every row has a check and every check a row.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use miosa_selftest::row::{Check, Priority, Row, Section};
use miosa_selftest::rows::SECTIONS;

/// Rows of the threat catalogue, and how many of each priority.
const LAST_ROW: u16 = 192;
const P2_ROWS: [u16; 5] = [38, 83, 95, 163, 174];

fn rows() -> impl Iterator<Item = (&'static Section, &'static Row)> {
    SECTIONS
        .iter()
        .flat_map(|section| section.rows.iter().map(move |row| (*section, row)))
}

#[test]
fn every_row_is_there_once_and_in_order() {
    let ids: Vec<u16> = rows().map(|(_, row)| row.id).collect();
    assert_eq!(ids, (1..=LAST_ROW).collect::<Vec<_>>());
    let hardening = rows().filter(|(_, row)| row.priority == Priority::P2);
    assert_eq!(
        hardening.map(|(_, row)| row.id).collect::<Vec<_>>(),
        P2_ROWS
    );
}

#[test]
fn every_row_checked_inside_has_its_function_and_every_function_its_row() {
    let programs = sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/attack"),
        "py",
    );
    let lines = programs.iter().flat_map(|text| text.lines());
    let functions: BTreeSet<u16> = lines
        .filter_map(|line| line.strip_prefix("def row_"))
        .map(|function| function[..3].parse().expect("a row's number"))
        .collect();
    let is_run = |row: &Row| matches!(row.check, Check::Inside | Check::Outside(_));
    for (section, row) in rows() {
        let is_there = functions.contains(&row.id);
        if matches!(row.check, Check::Inside) {
            assert!(is_there, "no function for row {} of {}", row.id, section.id);
        }
        assert!(
            !is_there || is_run(row),
            "row {} has a function and is not run",
            row.id
        );
    }
}

#[test]
fn what_is_not_run_says_why_and_tests_that_are_named_exist() {
    let sources = sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates"),
        "rs",
    );
    for (_, row) in rows() {
        match row.check {
            Check::Absent(reason) | Check::Documented(reason) => {
                assert!(reason.split(' ').count() > 3, "row {}: {reason}", row.id);
            }
            Check::Tested(name) => {
                let function = format!("fn {name}(");
                assert!(
                    sources.iter().any(|text| text.contains(&function)),
                    "row {}: {name}",
                    row.id
                );
            }
            Check::Inside | Check::Outside(_) => {}
        }
    }
}

fn sources(folder: &Path, kind: &str) -> Vec<String> {
    let (mut texts, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).expect("a folder of the repository") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == kind) {
                texts.push(fs_err::read_to_string(path).expect("a source"));
            }
        }
    }
    texts
}
