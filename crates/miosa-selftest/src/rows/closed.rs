//! B13: fail closed.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Value, json};

use crate::row::Check::{Outside, Tested};
use crate::row::Priority::{P0, P1};
use crate::row::{Row, Section};
use crate::trial::Trial;

/// The section.
pub const SECTION: Section = Section {
    id: "B13",
    title: "Fail closed",
    program: ("closed.py", include_str!("../attack/closed.py")),
    rows: ROWS,
};

/// Descriptors a starved broker may have open.
const FEW_DESCRIPTORS: u64 = 48;

const ROWS: &[Row] = &[
    Row::new(
        183,
        P0,
        "the opening key is gone when the broker starts",
        "sandboxes run; nothing is sent with a credential",
        Outside(|trial| Box::pin(row_183(trial))),
    ),
    Row::new(
        184,
        P0,
        "the broker is killed while sandboxes send",
        "no other way meanwhile; it goes on afterwards",
        Outside(|trial| Box::pin(row_184(trial))),
    ),
    Row::new(
        185,
        P0,
        "an invalid policy",
        "refused; the one in force stays",
        Outside(|trial| Box::pin(row_185(trial))),
    ),
    Row::new(
        186,
        P0,
        "interception switched off for a connector",
        "refused by name",
        Outside(|trial| Box::pin(row_186(trial))),
    ),
    Row::new(
        187,
        P0,
        "the packet filter is flushed",
        "no way out at all",
        Outside(|trial| Box::pin(row_187(trial))),
    ),
    Row::new(
        188,
        P1,
        "the broker has no descriptors left",
        "refused or late, never passed by",
        Outside(|trial| Box::pin(row_188(trial))),
    ),
    Row::new(
        189,
        P1,
        "a guest agent older than the server",
        "withheld values, a clear message",
        Outside(|trial| Box::pin(row_189(trial))),
    ),
    Row::new(
        190,
        P0,
        "the preflight while something is broken",
        "red, and green again afterwards",
        Outside(|trial| Box::pin(row_190(trial))),
    ),
    Row::new(
        191,
        P1,
        "requests that two parsers read differently",
        "none is accepted",
        Tested("row_191_nginx_and_node_read_what_we_read"),
    ),
    Row::new(
        192,
        P1,
        "random policies and requests",
        "a credential means all of one binding",
        Tested("row_192_a_credential_means_all_of_one_binding"),
    ),
];

async fn row_183(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let key = lab.world.folder().join(".miosa/keys/opening.key");
    let kept = key.with_extension("kept");
    fs_err::rename(&key, &kept)?;
    let broker = lab.broker()?;
    kill_process(broker, Signal::KILL)?;
    // A broker without its key does not serve: whatever is sent finds nobody.
    let runs = lab.world.exec(&lab.first, "echo runs").await?;
    let tried = trial.inside("no_answer", Value::Null).await;
    fs_err::rename(&kept, &key)?;
    lab.wait_for_broker(broker).await?;
    tried?;
    trial.check(
        "commands in the sandbox meanwhile",
        "run",
        runs["exit_code"] == 0,
        runs["exit_code"].to_string(),
    );
    trial.inside("use", Value::Null).await.map(drop)
}

async fn row_184(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let first = lab.first.clone();
    let before = lab.stand.attacker.received().len();
    trial.around(&first, "during", lab.restart_broker()).await?;
    let direct = lab.stand.attacker.received()[before..]
        .windows(7)
        .any(|text| text == b"/direct");
    trial.check(
        "a direct way to the attacker",
        "none",
        !direct,
        format!("{direct}"),
    );
    trial.inside("use", Value::Null).await.map(drop)
}

async fn row_185(trial: &mut Trial<'_>) -> Result<()> {
    let first = trial.lab.first.clone();
    let before = trial
        .cli(&["sandbox", "network", "show", &first, "--json"])
        .await?;
    for arguments in [
        vec![
            "sandbox",
            "network",
            "allow",
            &first,
            "bad host!!",
            "--json",
        ],
        vec![
            "sandbox",
            "network",
            "allow",
            &first,
            "*.*.example",
            "--json",
        ],
        vec![
            "sandbox",
            "network",
            "allow",
            &first,
            "10.0.0.0/99",
            "--json",
        ],
        vec![
            "sandbox",
            "create",
            "--network-policy",
            "deny-all",
            "--allowed-domain",
            "bad host!!",
            "--json",
        ],
    ] {
        let answer = trial.cli(&arguments).await?;
        let code = answer["error"]["code"]
            .as_str()
            .unwrap_or("none")
            .to_owned();
        trial.check(
            &arguments[1..arguments.len() - 1].join(" "),
            "refused",
            code == "VALIDATION_FAILED",
            code,
        );
    }
    let after = trial
        .cli(&["sandbox", "network", "show", &first, "--json"])
        .await?;
    let is_same = before == after && before["ok"] != false;
    trial.check("the policy in force", "as before", is_same, "compared");
    trial.inside("use", Value::Null).await.map(drop)
}

async fn row_186(trial: &mut Trial<'_>) -> Result<()> {
    let (host, key) = (trial.lab.api_address()?, trial.lab.setting("api_key")?);
    let id = trial.lab.bare(&[]).await?;
    let body = json!({"connector": "refero/design-research", "env_name": "REFERO_MCP_TOKEN", "mode": "plain_env"});
    let body = body.to_string();
    let request = format!(
        "POST /api/v1/sandboxes/{id}/connectors HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = trial.lab.http(&request).await?;
    trial.received.extend_from_slice(answer.as_bytes());
    let is_named = answer.contains("PLAIN_ENV_NOT_ALLOWED");
    let seen = answer.lines().next().unwrap_or_default().to_owned();
    trial.check(
        "a connector without interception",
        "refused by name",
        is_named,
        seen,
    );
    let value = trial.lab.variable(&id, "REFERO_MCP_TOKEN").await?;
    trial.check("its variable", "not there", value.is_empty(), value.clone());
    let doctor = trial.cli(&["doctor", "--json"]).await?;
    let is_whole = doctor.to_string().contains("all defences are on");
    trial.check(
        "`miosa doctor`",
        "says that all defences are on",
        is_whole,
        doctor.to_string(),
    );
    trial.lab.destroy(&id).await
}

/// Empties the packet filter of a sandbox's own network namespace, as only root of the host can.
async fn row_187(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let id = lab
        .bare(&[
            "--network-policy",
            "deny-all",
            "--allowed-domain",
            crate::stand::ALLOWED,
        ])
        .await?;
    lab.attach(&id, "refero/design-research", "REFERO_MCP_TOKEN")
        .await?;
    let pid = lab.guest(&id)?.to_string();
    trial.inside_of(&id, "use", Value::Null).await?;
    let flushed = tokio::process::Command::new("nsenter")
        .args(["-t", &pid, "-n", "nft", "flush", "ruleset"])
        .output()
        .await?;
    ensure!(
        flushed.status.success(),
        "nft in the sandbox's namespace: {}",
        String::from_utf8_lossy(&flushed.stderr)
    );
    trial.inside_of(&id, "no_way", Value::Null).await?;
    lab.destroy(&id).await
}

async fn row_188(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let pid = lab.broker()?;
    let limits = fs_err::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero()))?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .context("no limits")?;
    let maximum = line
        .split_whitespace()
        .nth(4)
        .and_then(|number| number.parse().ok());
    let few = Rlimit {
        current: Some(FEW_DESCRIPTORS),
        maximum,
    };
    let before = prlimit(Some(pid), Resource::Nofile, few)?;
    let tried = trial.inside("shed", Value::Null).await;
    let is_said = lab.logs().contains("was not accepted");
    trial.check(
        "the broker's log",
        "says that it takes no more",
        is_said,
        "read",
    );
    prlimit(Some(pid), Resource::Nofile, before)?;
    tried?;
    trial.inside("use", Value::Null).await.map(drop)
}

/// Speaks the protocol of a time before agents said which one they speak.
const OLD_AGENT: &str = r#"#!/usr/bin/python3
import socket
listener = socket.socket(fileno=3)
listener.setblocking(True)
body = b'{"version":"0.0.1","now":0}'
head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
while True:
    peer, _ = listener.accept()
    try:
        peer.settimeout(5)
        if peer.recv(65536):
            peer.sendall(head + body)
    except OSError:
        pass
    peer.close()
"#;

/// The guest agent that the server gives new sandboxes is replaced by an old one for a while.
async fn row_189(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let files = crate::sweep::files_below(&lab.world.folder().join(".miosa"));
    let is_agent = |file: &&std::path::PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("guest-") && name.split('-').count() == 3
    };
    let agent = files
        .iter()
        .find(is_agent)
        .context("no guest agent is installed")?;
    let kept = agent.with_extension("kept");
    fs_err::rename(agent, &kept)?;
    fs_err::write(agent, OLD_AGENT)?;
    fs_err::set_permissions(agent, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let made = lab
        .world
        .json(&["sandbox", "create", "--wait", "--json"])
        .await;
    fs_err::rename(&kept, agent)?;
    let id = made?["id"].as_str().context("no id")?.to_owned();
    let attach = [
        "sandbox",
        "connectors",
        "attach",
        &id,
        "refero/design-research",
        "--env",
        "REFERO_MCP_TOKEN",
        "--json",
    ];
    let answer = trial.cli(&attach).await?;
    let (code, message) = (&answer["error"]["code"], &answer["error"]["message"]);
    let is_clear = message
        .as_str()
        .is_some_and(|words| words.contains("guest agent is older"));
    trial.check(
        "a connector for a sandbox with an old agent",
        "refused, and why is said",
        code == "RESOURCE_STATE" && is_clear,
        format!("{code} {message}"),
    );
    for verb in ["stop", "resume"] {
        lab.world.json(&["sandbox", verb, &id, "--json"]).await?;
    }
    let answer = trial.cli(&attach).await?;
    trial.check(
        "the same after a start with a new agent",
        "attached",
        answer["env_name"] == "REFERO_MCP_TOKEN",
        answer.to_string(),
    );
    lab.destroy(&id).await
}

async fn row_190(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let id = lab.bound().await?;
    let preflight = ["sandbox", "connectors", "preflight", &id, "--json"];
    let green = trial.cli(&preflight).await?;
    trial.check(
        "with everything in order",
        "green",
        is_green(&green),
        green.to_string(),
    );
    let broker = lab.broker()?;
    kill_process(broker, Signal::STOP)?;
    let red = trial.cli(&preflight).await;
    kill_process(broker, Signal::CONT)?;
    let red = red?;
    trial.check(
        "with the broker stopped",
        "red",
        !is_green(&red),
        red.to_string(),
    );
    let key = lab.world.folder().join(".miosa/keys/opening.key");
    let kept = key.with_extension("kept");
    fs_err::rename(&key, &kept)?;
    kill_process(broker, Signal::KILL)?;
    let red = trial.cli(&preflight).await;
    fs_err::rename(&kept, &key)?;
    lab.wait_for_broker(broker).await?;
    let red = red?;
    trial.check(
        "without the opening key",
        "red",
        !is_green(&red),
        red.to_string(),
    );
    let green = trial.cli(&preflight).await?;
    trial.check("afterwards", "green", is_green(&green), green.to_string());
    trial
        .steps
        .iter_mut()
        .filter(|step| step.required == "green")
        .for_each(|step| step.uses = 1);
    lab.destroy(&id).await
}

fn is_green(answer: &Value) -> bool {
    answer["ok"] == true || answer["passed"] == true || answer["ready"] == true
}
