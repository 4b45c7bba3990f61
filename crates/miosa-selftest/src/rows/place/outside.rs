//! Rows of B3 about what is stored and attached.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::trial::Trial;

/// How long a server with a bad definition may take to say so.
const REFUSAL_MAX: Duration = Duration::from_secs(20);
/// Everything in it means something in a URL.
const AWKWARD: &str = "k/../a?b#c%2e%00+d&key=e;f=g\\h:i@j k\"l";
const AWKWARD_ENCODED: &str =
    "k%2F%2E%2E%2Fa%3Fb%23c%252e%2500%2Bd%26key%3De%3Bf%3Dg%5Ch%3Ai%40j%20k%22l";

pub async fn row_054(trial: &mut Trial<'_>) -> Result<()> {
    for header in [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        ":authority",
        "proxy-authorization",
        "cookie",
        "Authorization",
    ] {
        let home = tempfile::Builder::new()
            .prefix("miosa-")
            .tempdir_in("/tmp")?;
        let definition = include_str!("../../stand/query.toml");
        let place = format!("kind = \"header\"\nname = \"{header}\"");
        let bad = definition.replace("kind = \"query\"\nname = \"key\"", &place);
        fs_err::write(home.path().join("bad.toml"), bad)?;
        let mut up = trial.lab.world.command();
        up.env("HOME", home.path());
        up.args([
            "up",
            "--ephemeral",
            "--listen",
            "127.0.0.1:0",
            "--connectors-dir",
        ]);
        let ended = tokio::time::timeout(REFUSAL_MAX, up.arg(home.path()).output()).await;
        let (ok, seen) = match ended {
            Ok(output) => {
                let output = output?;
                let said = [output.stdout, output.stderr].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                (
                    !output.status.success() && said.contains("places.name"),
                    said,
                )
            }
            Err(_) => (false, "the server started".to_owned()),
        };
        let name = format!("a definition with the header {header}");
        trial.check(&name, "the server does not start with it", ok, seen);
    }
    Ok(())
}

/// Runs the CLI with bytes on its standard input; its JSON.
async fn cli_with(trial: &mut Trial<'_>, arguments: &[&str], input: &[u8]) -> Result<Value> {
    let mut command = trial.lab.world.command();
    let mut child = command
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    stdin.write_all(input).await?;
    drop(stdin);
    let output = child.wait_with_output().await?;
    Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or_default()
}

async fn create(trial: &mut Trial<'_>, provider: &str, name: &str, value: &[u8]) -> Result<Value> {
    let create = [
        "connectors",
        "create",
        provider,
        "--name",
        name,
        "--stdin",
        "--json",
    ];
    cli_with(trial, &create, value).await
}

pub async fn row_055(trial: &mut Trial<'_>) -> Result<()> {
    let first = trial.lab.first.clone();
    create(trial, "github", "overlap", b"ghp_another-value-of-the-run").await?;
    let attach = ["sandbox", "connectors", "attach", &first, "github/overlap"];
    let attach = [&attach[..], &["--env", "OTHER_TOKEN", "--json"]].concat();
    let answer = trial.cli(&attach).await?;
    let is_refused = code(&answer) == "BINDING_CONFLICT";
    let (name, required) = ("a second binding for the same requests", "BINDING_CONFLICT");
    trial.check(name, required, is_refused, answer.to_string());
    trial
        .cli(&["connectors", "delete", "github/overlap", "--json"])
        .await?;
    trial
        .inside("first_binding_still_works", Value::Null)
        .await
        .map(drop)
}

pub async fn row_059(trial: &mut Trial<'_>) -> Result<()> {
    let values: [(&str, &[u8]); 5] = [
        ("a line end inside", b"abcdefgh\r\nX-Evil: 1"),
        ("a bare LF inside", b"abcdefgh\nijklmnop"),
        ("a NUL", b"abcdefgh\0ijklmnop"),
        (
            "a letter that is not ASCII",
            "abcdefgh\u{e9}ijklmnop".as_bytes(),
        ),
        ("a byte that is no UTF-8", b"abcdefgh\xffijklmnop"),
    ];
    for (name, value) in values {
        let answer = create(trial, "openai", "bad-value", value).await?;
        let refused = ["INVALID_SECRET", "CLI_USAGE_ERROR", "CLI_FILE_ERROR"];
        let ok = refused.contains(&code(&answer));
        trial.check(name, "refused, not stored", ok, answer.to_string());
    }
    let listed = trial.cli(&["connectors", "list", "--json"]).await?;
    let is_stored = listed.to_string().contains("bad-value");
    trial.check(
        "connectors afterwards",
        "none of these",
        !is_stored,
        "listed",
    );
    // What a shell leaves around a value is taken off when it is stored.
    create(
        trial,
        "openai",
        "spaced",
        b" \t spaced-value-of-the-run \r\n",
    )
    .await?;
    let token = trial
        .cli(&["connectors", "token", "openai/spaced", "--json"])
        .await?;
    let ok = token["token"] == "spaced-value-of-the-run";
    let (name, required) = ("spaces and line ends around a value", "stored without them");
    trial.check(name, required, ok, token.to_string());
    let delete = ["connectors", "delete", "openai/spaced", "--json"];
    trial.cli(&delete).await.map(drop)
}

pub async fn row_060(trial: &mut Trial<'_>) -> Result<()> {
    let second = trial.lab.second.clone();
    let made = create(trial, "selftest-query", "awkward", AWKWARD.as_bytes()).await?;
    trial.check(
        "a value full of delimiters",
        "stored",
        made.get("error").is_none(),
        made.to_string(),
    );
    let uid = "selftest-query/awkward";
    trial.lab.attach(&second, uid, "SELFTEST_QUERY_KEY").await?;
    let before = trial.lab.stand.log.count();
    trial
        .inside_of(&second, "in_the_query", Value::Null)
        .await?;
    let lines: Vec<String> = trial
        .lab
        .stand
        .log
        .since(before)
        .iter()
        .map(crate::stand::Seen::line)
        .collect();
    let expected = format!("GET /search?a=1&key={AWKWARD_ENCODED}&b=%2F2");
    let ok = lines == [expected.as_str(), expected.as_str()];
    trial.check("what the provider saw", &expected, ok, lines.join(" | "));
    let is_echoed = [AWKWARD, AWKWARD_ENCODED]
        .iter()
        .any(|form| memchr::memmem::find(&trial.received, form.as_bytes()).is_some());
    trial.check(
        "the provider's echo",
        "without the value",
        !is_echoed,
        "searched",
    );
    trial
        .cli(&["sandbox", "connectors", "detach", &second, uid, "--json"])
        .await?;
    trial
        .cli(&["connectors", "delete", uid, "--json"])
        .await
        .map(drop)
}
