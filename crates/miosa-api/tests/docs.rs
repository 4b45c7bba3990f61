//! The reference pages list every code, with the status it is answered with, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use miosa_api::broker::RefusalCode;
use miosa_api::error::ErrorCode;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(path).expect("a reference page")
}

/// Rows of a page's tables that begin with a code: code, status, and the rest of the cells.
fn rows(text: &str) -> BTreeSet<(&str, &str, usize)> {
    let cells = |line: &str| line.trim().trim_matches('|').split('|').count();
    text.lines()
        .filter_map(|line| {
            let (code, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            let (status, _) = rest.split_once(" | ")?;
            let is_code = code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
            (is_code && !code.starts_with("CLI_")).then_some((code, status, cells(line)))
        })
        .collect()
}

#[test]
fn the_page_on_errors_has_every_code_and_no_other() {
    let text = page("errors.md");
    let statuses: Vec<String> = (100..600).map(|status: u16| status.to_string()).collect();
    let status = |number: u16| statuses[usize::from(number) - 100].as_str();
    let control_plane = ErrorCode::ALL
        .iter()
        .map(|code| (code.as_str(), status(code.status()), 5));
    let broker = RefusalCode::ALL
        .iter()
        .map(|code| (code.as_str(), status(code.status()), 3));
    let expected: BTreeSet<_> = control_plane.chain(broker).collect();
    assert_eq!(rows(&text), expected);
}

#[test]
fn the_page_on_errors_says_which_may_be_repeated() {
    let text = page("errors.md");
    for code in ErrorCode::ALL {
        let start = format!("| `{}` | {} | ", code.as_str(), code.status());
        let row = text.lines().find_map(|line| line.strip_prefix(&start));
        let says_yes = row.is_some_and(|rest| rest.starts_with("yes |"));
        assert_eq!(says_yes, code.retryable(), "{}", code.as_str());
    }
}

#[test]
fn the_page_on_connectors_has_every_refusal() {
    let text = page("connectors.md");
    for code in RefusalCode::ALL {
        let row = format!("| `{}` | {} | ", code.as_str(), code.status());
        assert!(text.contains(&row), "{row}");
    }
}
