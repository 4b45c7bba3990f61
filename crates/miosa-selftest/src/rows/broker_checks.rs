//! B9: what is looked at on the machine itself.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::trial::Trial;

/// A limit that is none at all in `/proc/<pid>/limits`.
const CORE_LIMIT: &str = "Max core file size";

pub async fn row_138(trial: &mut Trial<'_>) -> Result<()> {
    let pid = trial.lab.broker()?;
    let limits = fs_err::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero()))?;
    let line = limits
        .lines()
        .find(|line| line.starts_with(CORE_LIMIT))
        .context("no limits")?;
    let numbers: Vec<&str> = line[CORE_LIMIT.len()..]
        .split_whitespace()
        .take(2)
        .collect();
    trial.check(
        "its limit for core files",
        "0, and not to be raised",
        numbers == ["0", "0"],
        line,
    );
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT)?;
    trial.lab.wait_for_broker(pid).await?;
    let cores: Vec<String> = [
        trial.lab.world.folder().to_owned(),
        std::env::current_dir()?,
        "/".into(),
    ]
    .iter()
    .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
    .map(|entry| entry.file_name().to_string_lossy().into_owned())
    .filter(|name| name == "core" || name.starts_with("core."))
    .collect();
    trial.check(
        "a core file after SIGABRT",
        "none",
        cores.is_empty(),
        cores.join(", "),
    );
    trial.inside("use", Value::Null).await.map(drop)
}

pub async fn row_139(trial: &mut Trial<'_>) -> Result<()> {
    trial.inside("use", Value::Null).await?;
    let log = trial.lab.logs();
    trial.check(
        "the log's level",
        "the finest",
        log.contains("TRACE") || log.contains("DEBUG"),
        format!("{} bytes", log.len()),
    );
    let found: Vec<&str> = trial
        .lab
        .canaries
        .iter()
        .filter_map(|canary| canary.find(log.as_bytes()).map(|_| canary.connector))
        .collect();
    trial.check(
        "values in the log",
        "none",
        found.is_empty(),
        found.join(", "),
    );
    trial.check(
        "panics in the log",
        "none",
        !log.contains("panicked at"),
        "searched",
    );
    Ok(())
}

/// Puts another key in the place of the opening key, and the right one back.
pub async fn row_145(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let keys = lab.world.folder().join(".miosa/keys");
    let (right, kept) = (keys.join("opening.key"), keys.join("opening.kept"));
    fs_err::rename(&right, &kept)?;
    let sealing = keys.join("other.pub").display().to_string();
    let made = lab
        .world
        .run(&[
            "keys",
            "generate",
            "--opening",
            &right.display().to_string(),
            "--sealing",
            &sealing,
            "--json",
        ])
        .await?;
    lab.restart_broker().await?;
    let offset = fs_err::metadata(lab.audit_file())?.len();
    let tried = trial
        .inside(
            "unavailable",
            json!(["EGRESS_SECRET_UNAVAILABLE", "EGRESS_POLICY_UNAVAILABLE"]),
        )
        .await;
    lab.audit_has("EGRESS_SECRET_UNAVAILABLE", offset).await;
    fs_err::rename(&kept, &right)?;
    lab.restart_broker().await?;
    tried?;
    ensure!(made.status.success(), "no other key was made");
    trial.inside("use", Value::Null).await.map(drop)
}

/// Moves a ciphertext in the database from one connector's row to another's.
pub async fn row_146(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let database = lab.data_dir().join("miosa.db");
    let swap = "import sqlite3,sys\n\
        db=sqlite3.connect(sys.argv[1],timeout=20)\n\
        of=lambda uid:db.execute('select sealed from connectors where uid=?',(uid,)).fetchone()[0]\n\
        one,two=of('github/selftest'),of('anthropic/selftest')\n\
        set=lambda uid,sealed:db.execute('update connectors set sealed=? where uid=?',(sealed,uid))\n\
        set('github/selftest',two),set('anthropic/selftest',one)\n\
        db.commit()";
    let run = |program: &'static str| {
        let database = database.clone();
        async move {
            let done = tokio::process::Command::new("python3")
                .args(["-c", program])
                .arg(database)
                .output()
                .await?;
            ensure!(
                done.status.success(),
                "python3 on this machine: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            anyhow::Ok(())
        }
    };
    run(swap).await?;
    lab.restart_broker().await?;
    let offset = fs_err::metadata(lab.audit_file())?.len();
    let tried = trial
        .inside("unavailable_wide", json!(["EGRESS_SECRET_UNAVAILABLE"]))
        .await;
    lab.audit_has("EGRESS_SECRET_UNAVAILABLE", offset).await;
    run(swap).await?;
    lab.restart_broker().await?;
    tried.map(drop)
}

pub async fn row_147(trial: &mut Trial<'_>) -> Result<()> {
    let answer = trial
        .cli(&[
            "connectors",
            "create",
            "github",
            "--name",
            "argv",
            "ghp_value_on_the_command_line",
            "--json",
        ])
        .await?;
    let code = answer["error"]["code"]
        .as_str()
        .unwrap_or("none")
        .to_owned();
    trial.check(
        "a value as an argument",
        "refused",
        answer["ok"] == false,
        code,
    );
    let help = trial
        .lab
        .world
        .run(&["connectors", "create", "--help"])
        .await?;
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    trial.check(
        "the flag for a value",
        "says who can see it, and there are others",
        text.contains("can see it") && text.contains("--stdin"),
        "read",
    );
    let home = trial.lab.world.folder().join(".miosa");
    for name in ["config.json", "server.toml"] {
        let bytes = fs_err::read(home.join(name))?;
        let found = trial
            .lab
            .canaries
            .iter()
            .any(|canary| canary.find(&bytes).is_some());
        trial.check(name, "holds no value", !found, "searched");
    }
    Ok(())
}

pub async fn row_148(trial: &mut Trial<'_>) -> Result<()> {
    let (host, key) = (trial.lab.api_address()?, trial.lab.setting("api_key")?);
    let get = |target: &str, host: &str, more: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n")
    };
    let bearer = format!("Authorization: Bearer {key}\r\n");
    let attempts = [
        ("no key", get("/api/v1/sandboxes", &host, ""), false),
        (
            "a wrong key",
            get(
                "/api/v1/sandboxes",
                &host,
                "Authorization: Bearer msk_wrong\r\n",
            ),
            false,
        ),
        (
            "the key in the address",
            get(
                &format!("/api/v1/sandboxes?api_key={key}&token={key}"),
                &host,
                "",
            ),
            false,
        ),
        (
            "the key in a cookie",
            get(
                "/api/v1/sandboxes",
                &host,
                &format!("Cookie: api_key={key}\r\n"),
            ),
            false,
        ),
        (
            "another name for this address, without a key",
            get("/api/v1/sandboxes", "evil.example", ""),
            false,
        ),
        ("the key", get("/api/v1/sandboxes", &host, &bearer), true),
    ];
    for (name, request, is_good) in attempts {
        let answer = trial.lab.http(&request).await?;
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        let ok = if is_good {
            status == "200"
        } else {
            status == "401" || status == "421" || status == "403"
        };
        trial.check(name, if is_good { "let in" } else { "refused" }, ok, status);
    }
    let preflight = format!(
        "OPTIONS /api/v1/sandboxes HTTP/1.1\r\nHost: {host}\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\nConnection: close\r\n\r\n"
    );
    for (name, request) in [
        ("a web page's preflight", preflight),
        (
            "a web page's request",
            get(
                "/api/v1/sandboxes",
                &host,
                &format!("{bearer}Origin: https://evil.example\r\n"),
            ),
        ),
    ] {
        let answer = trial.lab.http(&request).await?.to_lowercase();
        trial.check(
            name,
            "nothing allows its origin",
            !answer.contains("access-control-allow-origin"),
            "read",
        );
    }
    let listens_wide = !host.starts_with("127.") && !host.starts_with("[::1]");
    trial.check(
        "the address it listens on",
        "loopback unless told otherwise",
        !listens_wide,
        host,
    );
    Ok(())
}

/// The audit is changed in a copy, and its file replaced by something that cannot be written.
pub async fn row_150(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    trial.inside("use", Value::Null).await?;
    let (file, copy) = (
        lab.audit_file(),
        lab.world.folder().join("audit-copy.jsonl"),
    );
    let text = fs_err::read_to_string(&file)?;
    for (name, changed, is_good) in [
        ("the audit as it is", text.clone(), true),
        (
            "a line changed",
            text.replacen("\"method\":\"GET\"", "\"method\":\"PUT\"", 1),
            false,
        ),
        (
            "a line removed",
            text.split_inclusive('\n')
                .enumerate()
                .filter(|(at, _)| *at != 1)
                .map(|(_, line)| line)
                .collect(),
            false,
        ),
    ] {
        fs_err::write(&copy, changed)?;
        let copy = copy.display().to_string();
        let output = lab
            .world
            .run(&["audit", "verify", "--file", &copy, "--json"])
            .await?;
        let required = if is_good { "intact" } else { "found" };
        let seen = String::from_utf8_lossy(&output.stdout).into_owned();
        trial.check(name, required, output.status.success() == is_good, seen);
    }
    let kept = file.with_extension("kept");
    fs_err::rename(&file, &kept)?;
    fs_err::create_dir(&file)?;
    let tried = trial
        .inside("unaudited", json!(["EGRESS_AUDIT_UNAVAILABLE"]))
        .await;
    fs_err::remove_dir(&file)?;
    fs_err::rename(&kept, &file)?;
    tried?;
    // What the sandbox was told is all there is to see: no credential may have left.
    let told = trial
        .steps
        .last()
        .map(|step| STANDARD.decode(&step.got).unwrap_or_default())
        .unwrap_or_default();
    trial.check(
        "the refusal",
        "says why",
        String::from_utf8_lossy(&told).contains("audit"),
        "read",
    );
    trial.inside("use", Value::Null).await.map(drop)
}
