//! B9: the broker itself.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::broker_checks as checks;
use crate::row::Check::{Inside, Outside};
use crate::row::Priority::{P0, P1};
use crate::row::{Row, Section};
use crate::trial::Trial;

/// The section.
pub const SECTION: Section = Section {
    id: "B9",
    title: "The broker itself",
    program: ("broker.py", include_str!("../attack/broker.py")),
    rows: ROWS,
};

/// How long traffic may take to begin.
const TRAFFIC_WAIT_MAX: Duration = Duration::from_secs(20);
/// Time between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Names a sandbox asks certificates for: more than are kept.
const NAMES: usize = 530;
/// What the broker may grow by meanwhile, in KiB.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

const ROWS: &[Row] = &[
    Row::new(
        137,
        P0,
        "the broker's environment, memory, command line in /proc",
        "nothing of it is in the sandbox",
        Inside,
    ),
    Row::new(
        138,
        P0,
        "core file of the broker",
        "none can be written",
        Outside(|trial| Box::pin(checks::row_138(trial))),
    ),
    Row::new(
        139,
        P0,
        "everything logged, at the finest level",
        "no value in the log",
        Outside(|trial| Box::pin(checks::row_139(trial))),
    ),
    Row::new(
        140,
        P0,
        "values in query and path",
        "not in the audit",
        Outside(|trial| Box::pin(row_140(trial))),
    ),
    Row::new(
        141,
        P0,
        "the key of the sandbox's authority",
        "each sandbox has its own; the key is nowhere",
        Outside(|trial| Box::pin(row_141(trial))),
    ),
    Row::new(
        142,
        P1,
        "certificates for very many names",
        "bounded",
        Outside(|trial| Box::pin(row_142(trial))),
    ),
    Row::new(
        143,
        P1,
        "all of a sandbox's connections held open",
        "others notice nothing; one more is answered 429",
        Outside(|trial| Box::pin(row_143(trial))),
    ),
    Row::new(
        144,
        P1,
        "compressed answer that could be a bomb",
        "never decompressed: refused",
        Inside,
    ),
    Row::new(
        145,
        P0,
        "vault with another key",
        "a loud failure, no empty value",
        Outside(|trial| Box::pin(checks::row_145(trial))),
    ),
    Row::new(
        146,
        P0,
        "ciphertext of one connector moved to another",
        "does not open",
        Outside(|trial| Box::pin(checks::row_146(trial))),
    ),
    Row::new(
        147,
        P1,
        "a value on the command line",
        "not taken as an argument; the flag for one says who sees it",
        Outside(|trial| Box::pin(checks::row_147(trial))),
    ),
    Row::new(
        148,
        P0,
        "the API without a key, with the key in the address, from a web page",
        "refused",
        Outside(|trial| Box::pin(checks::row_148(trial))),
    ),
    Row::new(
        149,
        P0,
        "connector detached in the middle of traffic",
        "nothing after the answer of the detach; each request has one generation",
        Outside(|trial| Box::pin(row_149(trial))),
    ),
    Row::new(
        150,
        P1,
        "audit changed, or not writable",
        "the change is found; no credential is used meanwhile",
        Outside(|trial| Box::pin(checks::row_150(trial))),
    ),
    Row::new(
        151,
        P1,
        "control characters towards log and audit",
        "refused or escaped",
        Outside(|trial| Box::pin(row_151(trial))),
    ),
    Row::new(
        152,
        P1,
        "the broker's settings as variables of the sandbox",
        "without effect",
        Outside(|trial| Box::pin(row_152(trial))),
    ),
    Row::new(
        153,
        P1,
        "the broker's own names and addresses, through itself",
        "refused",
        Inside,
    ),
];

async fn row_140(trial: &mut Trial<'_>) -> Result<()> {
    let file = trial.lab.audit_file();
    let before = fs_err::metadata(&file)?.len();
    trial.inside("ask_with_query", Value::Null).await?;
    let token = trial
        .lab
        .variable(&trial.lab.first, "REFERO_MCP_TOKEN")
        .await?;
    let lines = crate::lab::audit_since(&file, before);
    let text = serde_json::to_string(&lines)?;
    trial.check(
        "audit lines",
        "written",
        lines.len() >= 3,
        lines.len().to_string(),
    );
    for (what, needle) in [
        ("the query's value", "selftest-query-value"),
        ("the placeholder", token.as_str()),
    ] {
        trial.check(what, "not in the audit", !text.contains(needle), "searched");
    }
    Ok(())
}

async fn row_141(trial: &mut Trial<'_>) -> Result<()> {
    let (first, second) = (trial.lab.first.clone(), trial.lab.second.clone());
    let one = trial
        .inside_of(&first, "own_authority", Value::Null)
        .await?;
    let two = trial
        .inside_of(&second, "own_authority", Value::Null)
        .await?;
    trial.check(
        "authorities of two sandboxes",
        "not the same",
        one[1] != two[1] && one[1].is_string(),
        "compared",
    );
    trial.check(
        "their certificates for one host",
        "not the same",
        one[0] != two[0],
        "compared",
    );
    Ok(())
}

async fn row_142(trial: &mut Trial<'_>) -> Result<()> {
    let before = memory_kib(trial)?;
    trial.inside("many_names", json!(NAMES)).await?;
    let grown = memory_kib(trial)?.saturating_sub(before);
    trial.check(
        "the broker's memory",
        "bounded",
        grown < GROWTH_KIB_MAX,
        format!("{grown} KiB more"),
    );
    Ok(())
}

fn memory_kib(trial: &Trial<'_>) -> Result<u64> {
    let pid = trial.lab.broker()?.as_raw_nonzero();
    let status = fs_err::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

async fn row_143(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let other = async {
        let call = json!({"function": "a_few", "argument": null, "names": lab.names()});
        lab.python(&lab.second, "broker.py", &call).await
    };
    let abuser = lab.bound().await?;
    let (_, meanwhile) = trial.around(&abuser, "hold_many", other).await?;
    trial.absorb(&meanwhile)?;
    trial
        .inside_of(&abuser, "over_the_limit", Value::Null)
        .await?;
    lab.destroy(&abuser).await
}

async fn row_149(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let id = lab.bare(&["--network-policy", "deny-all"]).await?;
    lab.attach(&id, "github/selftest", "GITHUB_TOKEN").await?;
    let before = lab.stand.log.count();
    let detach = async {
        let deadline = Instant::now() + TRAFFIC_WAIT_MAX;
        while lab.stand.log.count() < before + 3 && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        lab.world
            .json(&[
                "sandbox",
                "connectors",
                "detach",
                &id,
                "github/selftest",
                "--json",
            ])
            .await?;
        Ok(lab.stand.log.count())
    };
    let offset = fs_err::metadata(lab.audit_file())?.len();
    let (counts, after) = trial.around(&id, "until_detached", detach).await?;
    let later = lab.stand.log.since(after);
    let late = later.iter().filter(|seen| {
        lab.canaries
            .iter()
            .any(|canary| canary.find_plain(&seen.head).is_some())
    });
    trial.check(
        "requests with a credential after the detach answered",
        "none",
        late.count() == 0,
        format!("{counts}"),
    );
    let events = crate::lab::audit_since(&lab.audit_file(), offset);
    let ours = events
        .iter()
        .filter(|event| event["resource_id"] == id.as_str() && event["swapped"] == true);
    let generations: Vec<Option<u64>> = ours
        .map(|event| event["policy_generation"].as_u64())
        .collect();
    let has_one =
        !generations.is_empty() && generations.iter().all(|one| one.is_some_and(|one| one > 0));
    trial.check(
        "the audit's generation",
        "one for each request",
        has_one,
        "compared",
    );
    lab.destroy(&id).await
}

async fn row_151(trial: &mut Trial<'_>) -> Result<()> {
    let before = (
        trial.lab.logs().len(),
        fs_err::metadata(trial.lab.audit_file())?.len(),
    );
    trial.inside("row_151", Value::Null).await?;
    let log = trial.lab.logs();
    let audit = fs_err::read(trial.lab.audit_file())?;
    let fresh = [
        &log.as_bytes()[before.0.min(log.len())..],
        &audit[usize::try_from(before.1)?..],
    ]
    .concat();
    let raw = fresh
        .iter()
        .position(|byte| byte.is_ascii_control() && !matches!(*byte, b'\n' | b'\t'));
    let seen = raw.map(|at| {
        let around = &fresh[at.saturating_sub(40)..fresh.len().min(at + 20)];
        String::from_utf8_lossy(around).escape_debug().to_string()
    });
    trial.check(
        "control characters in log and audit",
        "none",
        raw.is_none(),
        seen.unwrap_or_default(),
    );
    trial.check(
        "a forged line",
        "none",
        !fresh.windows(13).any(|text| text == b"\nforged: line"),
        "searched",
    );
    Ok(())
}

async fn row_152(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let id = lab
        .bare(&[
            "--network-policy",
            "deny-all",
            "--allowed-domain",
            crate::stand::ATTACKER,
        ])
        .await?;
    lab.attach(&id, "refero/design-research", "REFERO_MCP_TOKEN")
        .await?;
    for (name, value) in [
        ("MIOSA_WEAKEN", "host-match"),
        ("MIOSA_LOG", "trace"),
        ("MIOSA_CONFIG", "/tmp/x"),
        ("OPENING_KEY", "x"),
    ] {
        trial
            .cli(&[
                "sandbox",
                "env",
                "set",
                &id,
                &format!("{name}={value}"),
                "--json",
            ])
            .await?;
    }
    trial.inside_of(&id, "row_152", Value::Null).await?;
    lab.destroy(&id).await
}
