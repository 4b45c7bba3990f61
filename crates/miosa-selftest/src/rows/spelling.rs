//! B5: how a placeholder is written, and where.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::row::Check::{Inside, Outside};
use crate::row::Priority::{P0, P1, P2};
use crate::row::{Row, Section};
use crate::trial::Trial;

/// The section.
pub const SECTION: Section = Section {
    id: "B5",
    title: "Placeholder spelling, place and size",
    program: ("spelling.py", include_str!("../attack/spelling.py")),
    rows: ROWS,
};

const ROWS: &[Row] = &[
    Row {
        id: 85,
        priority: P0,
        attack: "the placeholder as user or password of Basic",
        required: "decoded, put in, encoded again where Basic is declared; refused elsewhere",
        check: Inside,
    },
    Row {
        id: 86,
        priority: P0,
        attack: "the same Basic to hosts it is not for",
        required: "seen as a placeholder, and refused; through a tunnel nothing but the placeholder leaves",
        check: Inside,
    },
    Row {
        id: 87,
        priority: P1,
        attack: "disguised placeholders (percent, base64, letter case, JSON) to a wrong host",
        required: "found where a head is read; never replaced",
        check: Inside,
    },
    Row {
        id: 88,
        priority: P0,
        attack: "placeholders in the prompt sent to a model",
        required: "passed on as they are; the session goes on",
        check: Inside,
    },
    Row {
        id: 89,
        priority: P0,
        attack: "placeholders nobody has: random, truncated, one digit wrong, too long",
        required: "refused alike, with a code of its own",
        check: Inside,
    },
    Row {
        id: 90,
        priority: P0,
        attack: "guessing placeholders",
        required: "128 random bits, another in each sandbox; every guess refused, many stopped, others not concerned",
        check: Outside(|trial| Box::pin(row_090(trial))),
    },
    Row {
        id: 91,
        priority: P0,
        attack: "another sandbox's placeholder",
        required: "refused and audited",
        check: Outside(|trial| Box::pin(row_091(trial))),
    },
    Row {
        id: 92,
        priority: P1,
        attack: "two placeholders in one request; one within a longer text",
        required: "refused; only a whole token in its own place is replaced",
        check: Inside,
    },
    Row {
        id: 93,
        priority: P1,
        attack: "a value that itself holds a placeholder",
        required: "cannot be stored, so that nothing is ever put in twice",
        check: Outside(|trial| Box::pin(row_093(trial))),
    },
    Row {
        id: 94,
        priority: P1,
        attack: "placeholders shaped like a provider's keys, and text that looks like them",
        required: "a marker and a random core tell them apart from any text",
        check: Inside,
    },
    Row {
        id: 95,
        priority: P2,
        attack: "a placeholder in the URL of a git remote: clone, push, fetch",
        required: "becomes Basic, which is declared for git",
        check: Inside,
    },
];

async fn row_090(trial: &mut Trial<'_>) -> Result<()> {
    let (first, second) = (trial.lab.first.clone(), trial.lab.second.clone());
    let ours = trial.inside_of(&first, "placeholders", Value::Null).await?;
    let others = trial
        .inside_of(&second, "placeholders", Value::Null)
        .await?;
    let texts = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(|text| text.as_str().map(str::to_owned))
            .collect()
    };
    let (ours, others) = (texts(&ours), texts(&others));
    let is_apart = !ours.is_empty() && ours.iter().all(|text| !others.contains(text));
    trial.check(
        "placeholders of two sandboxes",
        "none is the same",
        is_apart,
        format!("{} and {} placeholders", ours.len(), others.len()),
    );
    let is_long = |text: &String| {
        let core = text.rsplit('-').next().unwrap_or_default();
        core.len() * 4 >= 128 && core.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    trial.check(
        "the random part of a placeholder",
        "at least 128 bits, in hexadecimal",
        ours.iter().chain(&others).all(is_long),
        "by its length",
    );
    let guesser = trial.lab.bound().await?;
    trial.inside_of(&guesser, "guesses", Value::Null).await?;
    trial.inside("own_after_guesses", Value::Null).await?;
    trial.lab.destroy(&guesser).await
}

async fn row_091(trial: &mut Trial<'_>) -> Result<()> {
    let second = trial.lab.second.clone();
    let others = trial
        .inside_of(&second, "placeholders", Value::Null)
        .await?;
    trial.inside("use_of_another", others).await?;
    let ours = trial.inside("placeholders", Value::Null).await?;
    trial.inside_of(&second, "use_of_another", ours).await?;
    Ok(())
}

async fn row_093(trial: &mut Trial<'_>) -> Result<()> {
    let ours = trial.inside("placeholders", Value::Null).await?;
    let inner = ours[1].as_str().context("no placeholder")?.to_owned();
    for value in [inner.clone(), format!("sk-ant-{inner}-end")] {
        let store = [
            "connectors",
            "create",
            "anthropic",
            "--name",
            "recursive",
            "--stdin",
            "--json",
        ];
        let stored = trial.lab.world.json_with_stdin(&store, &value).await;
        let seen = stored.map_or_else(|error| error.to_string(), |value| value.to_string());
        trial.check(
            "storing a value that holds a placeholder",
            "refused",
            seen.contains("INVALID_SECRET"),
            seen,
        );
    }
    Ok(())
}
