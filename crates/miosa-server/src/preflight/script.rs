//! The script a preflight runs in the sandbox, and what it prints.
//!
//! One `curl` a request and one handshake a program, all at once. The placeholder comes from the environment,
//! so the script's text holds none. Each line of output is tab-separated fields: `cwd 0|1`, `clock SECONDS`,
//! `agent EXIT base64(output)`, `file PATH base64`, `env NAME base64`,
//! `try NUMBER EXIT STATUS base64(body) base64(stderr) base64(date)`, `trust PROGRAM EXIT base64(output)`.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use miosa_api::broker::Place;

use super::attempts::{self, Attempt, WRONG_PATH, place_of_handshakes};
use super::runtimes::{self, NODE_TLS};
use crate::bindings::Bound;
use crate::connectors::Probe;

/// Exit status of `timeout` when time was up.
pub(super) const TIMED_OUT: i32 = 124;
/// `try` keeps the first bytes of a body and of curl's own words; `trust` and `ran` the last of a program's.
const PRELUDE: &str = r#"d=$(mktemp -d) || exit 1
export d
trap 'rm -rf "$d"' EXIT
b() { base64 | tr -d '\n'; }
try() {
  n=$1; shift
  s=$(curl -sS --max-time 4 --noproxy '*' -o "$d/$n.b" -D "$d/$n.h" -w '%{http_code}' "$@" 2>"$d/$n.e"); x=$?
  body=$(head -c 4096 "$d/$n.b" 2>/dev/null | b); said=$(head -c 300 "$d/$n.e" | b)
  date=$(sed -n 's/^[Dd]ate: *//p' "$d/$n.h" 2>/dev/null | tail -n 1 | b)
  printf 'try\t%s\t%s\t%s\t%s\t%s\t%s\n' "$n" "$x" "$s" "$body" "$said" "$date"
}
ran() {
  line=$1; f=$(mktemp "$d/ran.XXXXXX"); shift
  timeout 5 "$@" >"$f" 2>&1 </dev/null; x=$?
  printf '%s\t%s\t%s\n' "$line" "$x" "$(tail -c 1500 "$f" | b)"
}
trust() {
  command -v "$1" >/dev/null || return 0
  ran "trust	$1" env H="$H" P="$P" U="$U" NODE_TLS="$NODE_TLS" sh -c "$2"
}
"#;

/// Longest settings file that is read whole.
const SETTINGS_BYTES_MAX: usize = 256 * 1024;

/// What is to be looked at.
#[derive(Debug)]
pub(super) struct Checks<'a> {
    /// Folder that must exist.
    pub cwd: String,
    /// Program that must be there.
    pub program: Option<&'static str>,
    /// Settings files that the program reads, those of JSON.
    pub settings: &'static [&'static str],
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
        let _ = writeln!(script, "ran agent sh -c 'exec {program} --version' &");
    }
    for path in checks.settings {
        let _ = writeln!(
            script,
            "[ ! -e \"{path}\" ] || printf 'file\\t%s\\t%s\\n' \"{path}\" \"$(head -c {SETTINGS_BYTES_MAX} \"{path}\" | b)\""
        );
    }
    script.push_str("printf 'clock\\t%s\\n' \"$(date +%s)\"\n");
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
    if let Some(place) = place_of_handshakes(checks.bound) {
        handshakes(&mut script, place);
    }
    script + "wait\n"
}

fn handshakes(script: &mut String, place: &str) {
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "443"));
    let url = quoted(&format!("https://{place}{WRONG_PATH}"));
    let _ = writeln!(script, "H={} P={} U={url}", quoted(host), quoted(port));
    script.push_str(NODE_TLS);
    for runtime in runtimes::ALL {
        let _ = writeln!(
            script,
            "trust {} {} &",
            runtime.program,
            quoted(runtime.command)
        );
    }
}

fn arguments(bound: &Bound, attempt: &Attempt) -> String {
    let variable = format!("\"${}\"", bound.row.env_name);
    let mut words = vec!["-X".to_owned(), attempt.method.clone()];
    if let Some(host) = attempt.host {
        words.push(format!("-H 'Host: {host}'"));
    }
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
    /// The answer's `Date`.
    pub date: String,
}

/// What a program came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ran {
    /// Its exit status.
    pub exit: i32,
    /// The end of what it printed.
    pub said: String,
}

/// What the script printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether the folder is there.
    pub cwd: bool,
    /// Seconds since 1970 by the sandbox's clock.
    pub clock: Option<i64>,
    /// What the agent's program came to when asked for its version.
    pub agent: Option<Ran>,
    /// Settings files that are there, by path.
    pub files: BTreeMap<String, String>,
    /// Values of variables.
    pub env: BTreeMap<String, String>,
    /// Requests by number.
    pub tried: BTreeMap<usize, Tried>,
    /// Handshakes by program.
    pub trust: BTreeMap<String, Ran>,
}

/// Reads what the script printed; lines that are not its own are passed over.
pub(super) fn parse(output: &str) -> Seen {
    let mut seen = Seen::default();
    for line in output.lines() {
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            ["cwd", exit] => seen.cwd = *exit == "0",
            ["clock", seconds] => seen.clock = seconds.parse().ok(),
            ["agent", exit, said] => seen.agent = Some(ran(exit, said)),
            ["file", path, content] => {
                seen.files.insert((*path).to_owned(), plain(content));
            }
            ["trust", program, exit, said] => {
                seen.trust.insert((*program).to_owned(), ran(exit, said));
            }
            ["env", name, value] => {
                seen.env.insert((*name).to_owned(), plain(value));
            }
            ["try", number, exit, status, body, said, date] => {
                let Ok(number) = number.parse() else { continue };
                let tried = Tried {
                    exit: exit.parse().unwrap_or(-1),
                    status: status.parse().unwrap_or(0),
                    body: plain(body),
                    said: plain(said),
                    date: plain(date).trim().to_owned(),
                };
                seen.tried.insert(number, tried);
            }
            _ => {}
        }
    }
    seen
}

fn ran(exit: &str, said: &str) -> Ran {
    Ran {
        exit: exit.parse().unwrap_or(-1),
        said: plain(said),
    }
}

fn plain(base64: &str) -> String {
    let bytes = STANDARD.decode(base64).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
