//! The script a preflight runs in the sandbox, and what it prints.
//!
//! One `curl` a request, all at once. The placeholder comes from the environment, so the script's text
//! holds none. Each line of output is tab-separated fields: `cwd 0|1`, `agent 0|1`,
//! `env NAME base64`, `try NUMBER EXIT STATUS base64(body) base64(stderr)`.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miosa_api::broker::Place;

use super::attempts::{self, Attempt};
use crate::bindings::Bound;
use crate::connectors::Probe;

/// `try` keeps the first bytes of a body and of curl's own words.
const PRELUDE: &str = r#"d=$(mktemp -d) || exit 1
trap 'rm -rf "$d"' EXIT
b() { base64 | tr -d '\n'; }
try() {
  n=$1; shift
  s=$(curl -sS --max-time 4 --noproxy '*' -o "$d/$n.b" -w '%{http_code}' "$@" 2>"$d/$n.e"); x=$?
  body=$(head -c 4096 "$d/$n.b" 2>/dev/null | b); said=$(head -c 300 "$d/$n.e" | b)
  printf 'try\t%s\t%s\t%s\t%s\t%s\n' "$n" "$x" "$s" "$body" "$said"
}
"#;

/// What is to be looked at.
#[derive(Debug)]
pub(super) struct Checks<'a> {
    /// Folder that must exist.
    pub cwd: String,
    /// Program that must be there.
    pub program: Option<&'static str>,
    /// Connectors to try.
    pub bound: &'a [Bound],
}

impl Checks<'_> {
    /// Every request with the connector it is of, in the order of their numbers.
    pub fn attempts(&self) -> Vec<(&Bound, Attempt)> {
        let of = |bound| {
            attempts::of(bound)
                .into_iter()
                .map(move |attempt| (bound, attempt))
        };
        self.bound.iter().flat_map(of).collect()
    }
}

/// The script.
pub(super) fn text(checks: &Checks<'_>) -> String {
    let mut script = PRELUDE.to_owned();
    let _ = writeln!(
        script,
        "[ -d {} ]; printf 'cwd\\t%s\\n' $?",
        quoted(&checks.cwd)
    );
    if let Some(program) = checks.program {
        let _ = writeln!(
            script,
            "command -v {program} >/dev/null; printf 'agent\\t%s\\n' $?"
        );
    }
    for bound in checks.bound {
        let name = &bound.row.env_name;
        let _ = writeln!(
            script,
            "printf 'env\\t{name}\\t%s\\n' \"$(printf %s \"${{{name}-}}\" | b)\""
        );
    }
    for (number, (bound, attempt)) in checks.attempts().into_iter().enumerate() {
        let _ = writeln!(script, "try {number} {} &", arguments(bound, &attempt));
    }
    script + "wait\n"
}

fn arguments(bound: &Bound, attempt: &Attempt) -> String {
    let variable = format!("\"${}\"", bound.row.env_name);
    let mut words = vec!["-X".to_owned(), attempt.method.clone()];
    let mut url = quoted(&attempt.url);
    if let Some(definition) = &bound.definition {
        match definition.places.first() {
            Some(Place::Header { name, prefix }) => {
                words.push(format!(
                    "-H {}{variable}",
                    quoted(&format!("{name}: {prefix}"))
                ));
            }
            Some(Place::Basic) => words.push(format!("-u 'x-access-token:'{variable}")),
            Some(Place::Query { name }) => {
                url = format!("{}{variable}", quoted(&format!("{}?{name}=", attempt.url)))
            }
            Some(Place::AwsHeader(scope) | Place::AwsQuery(scope)) => {
                let first = |words: &[String]| words.first().cloned().unwrap_or_default();
                let (region, service) = (first(&scope.regions), first(&scope.services));
                let region = region.replace('*', "us-east-1");
                let how = quoted(&format!("aws:amz:{region}:{service}"));
                // The second half is nothing: what it signs is signed anew.
                words.push(format!("--aws-sigv4 {how} -u {variable}:x"));
                words.push("-H 'x-amz-content-sha256: UNSIGNED-PAYLOAD'".to_owned());
            }
            None => {}
        }
        if let Some(probe) = &definition.probe {
            words.extend(probe_words(probe, &attempt.method));
        }
    }
    words.push(url);
    words.join(" ")
}

fn probe_words(probe: &Probe, method: &str) -> Vec<String> {
    let mut words: Vec<String> = probe
        .headers
        .iter()
        .map(|(name, value)| format!("-H {}", quoted(&format!("{name}: {value}"))))
        .collect();
    if let Some(body) = probe.body.as_ref().filter(|_| method != "GET") {
        words.push(format!("--data-raw {}", quoted(body)));
    }
    words
}

/// One word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// What a request came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tried {
    /// curl's exit status.
    pub exit: i32,
    /// HTTP status; 0 for none.
    pub status: u16,
    /// Beginning of the body.
    pub body: String,
    /// curl's own words.
    pub said: String,
}

/// What the script printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether the folder is there.
    pub cwd: bool,
    /// Whether the program is there.
    pub agent: bool,
    /// Values of variables.
    pub env: BTreeMap<String, String>,
    /// Requests by number.
    pub tried: BTreeMap<usize, Tried>,
}

/// Reads what the script printed; lines that are not its own are passed over.
pub(super) fn parse(output: &str) -> Seen {
    let mut seen = Seen::default();
    for line in output.lines() {
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            ["cwd", exit] => seen.cwd = *exit == "0",
            ["agent", exit] => seen.agent = *exit == "0",
            ["env", name, value] => {
                seen.env.insert((*name).to_owned(), plain(value));
            }
            ["try", number, exit, status, body, said] => {
                let Ok(number) = number.parse() else { continue };
                let tried = Tried {
                    exit: exit.parse().unwrap_or(-1),
                    status: status.parse().unwrap_or(0),
                    body: plain(body),
                    said: plain(said),
                };
                seen.tried.insert(number, tried);
            }
            _ => {}
        }
    }
    seen
}

fn plain(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
