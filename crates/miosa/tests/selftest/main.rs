//! The security catalogue, run as a user runs it, and the proof that it can fail: with a defence switched
//! off, the rows that are about it go red.
//!
//! The switches exist in the program that `cargo test` builds and in no other.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use miosa_testkit::registries;
use serde_json::Value;

/// Defences, switched off together where one covers for the other, and rows that must notice.
const MUTATIONS: &[(&[&str], &[&str])] = &[
    (&["dialled-address", "upstream-certificate"], &["1"]),
    (&["server-name"], &["4"]),
    (&["authority"], &["3", "6", "7", "8", "9"]),
    (&["host-match"], &["11", "57", "86"]),
    (&["path-match"], &["41", "42", "56"]),
    (&["path-canonical"], &["42", "43", "44"]),
    (&["method-match"], &["46"]),
    (&["place-match"], &["49", "50", "53"]),
    (&["credential-scope"], &["155", "157"]),
    (&["cleartext"], &["2"]),
    (&["special-addresses"], &["27", "28", "29", "30", "32"]),
    (&["upstream-certificate"], &["22"]),
    (&["redact-body"], &["96", "98", "99", "104"]),
    (&["redact-headers"], &["97"]),
    (&["compression"], &["100", "144"]),
    (&["strict-framing"], &["61", "62"]),
    (&["owner"], &["91", "117"]),
    (&["generation"], &["112", "113"]),
    (&["require-placeholder"], &["52"]),
    (&["upgrade"], &["68"]),
    (&["alt-svc"], &["79"]),
    (&["audit-required"], &["150"]),
    (&["audit-mask"], &["140"]),
    (&["hardening"], &["138"]),
    (&["connection-limit"], &["143"]),
    (&["dns"], &["19", "34", "38", "79"]),
    (&["mcp-tools"], &["165", "166", "171"]),
    (&["mcp-methods"], &["171"]),
    (&["mcp-arguments"], &["169"]),
    (&["mcp-lists"], &["170"]),
    (&["mcp-strict"], &["167", "168"]),
    (&["mcp-size"], &["76"]),
    (&["mcp-sessions"], &["172"]),
    (&["mcp-login"], &["173"]),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![trial(
        "the_catalogue_is_green".to_owned(),
        the_catalogue_is_green,
    )];
    for (defences, rows) in MUTATIONS {
        let name = format!("without_{}_rows_go_red", defences.join("_and_"));
        trials.push(trial(name, move || rows_go_red(defences, rows)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: String, case: impl FnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        case().map_err(|error| Failed::from(format!("{error:#}")))
    })
}

/// Runs the selftest; whether it ended well, and its report.
fn selftest(arguments: &[String]) -> Result<(bool, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_miosa"));
    command
        .args(["security", "selftest", "--json", "--cache"])
        .arg(target.join("cache"));
    for range in registries::special_ranges(&root.join("templates"))? {
        command.args(["--allow-range", &range]);
    }
    let output = command.args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&text)
        .with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output.status.success(), report))
}

fn the_catalogue_is_green() -> Result<()> {
    let (is_good, report) = selftest(&[])?;
    let rows = report["rows"].as_array().context("no rows")?;
    let red: Vec<String> = failed(rows)
        .map(|row| format!("{}: {}", row["id"], row["wrong"]))
        .collect();
    ensure!(red.is_empty(), "{}", red.join("\n"));
    ensure!(is_good, "exit status: {report}");
    ensure!(
        report["passed"].as_u64() > Some(100),
        "few rows were run: {}",
        report["passed"]
    );
    Ok(())
}

fn rows_go_red(defences: &[&str], rows: &[&str]) -> Result<()> {
    let flag = |name: &str, value: &&str| [format!("--{name}"), (*value).to_owned()];
    let mut arguments: Vec<String> = rows.iter().flat_map(|row| flag("only", row)).collect();
    arguments.extend(defences.iter().flat_map(|defence| flag("weaken", defence)));
    let (is_good, report) = selftest(&arguments)?;
    let all = report["rows"].as_array().context("no rows")?;
    let red: Vec<&str> = failed(all)
        .filter(|row| !row["wrong"].to_string().contains("the check itself failed"))
        .filter_map(|row| row["id"].as_str())
        .collect();
    let blind: Vec<&&str> = rows.iter().filter(|row| !red.contains(row)).collect();
    ensure!(
        blind.is_empty(),
        "rows that notice nothing: {blind:?}; red: {red:?}"
    );
    ensure!(!is_good, "it ended as if all were well");
    Ok(())
}

fn failed(rows: &[Value]) -> impl Iterator<Item = &Value> {
    rows.iter().filter(|row| row["outcome"] == "failed")
}
