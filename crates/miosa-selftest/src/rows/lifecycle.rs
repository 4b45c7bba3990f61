//! B7: identity, lifecycle, tenants, copies.

use anyhow::Result;
use serde_json::{Value, json};

use crate::row::Check::{Inside, Outside};
use crate::row::Priority::{P0, P1};
use crate::row::{Row, Section};
use crate::trial::Trial;

/// The section.
pub const SECTION: Section = Section {
    id: "B7",
    title: "Identity, lifecycle, tenants, copies",
    program: ("lifecycle.py", include_str!("../attack/lifecycle.py")),
    rows: ROWS,
};

/// The managed connector of a run.
const UID: &str = "refero/design-research";
/// Variables that make programs do other things.
const HARMFUL: [&str; 8] = [
    "PATH",
    "LD_PRELOAD",
    "NODE_OPTIONS",
    "GIT_SSH_COMMAND",
    "HTTPS_PROXY",
    "PYTHONSTARTUP",
    "BASH_ENV",
    "SSL_CERT_FILE",
];

const ROWS: &[Row] = &[
    Row::new(
        112,
        P0,
        "first connector attached to a running sandbox with an open connection to its host",
        "intercepted before the placeholder can be read; the old connection is no way",
        Outside(|trial| Box::pin(row_112(trial))),
    ),
    Row::new(
        113,
        P0,
        "connector detached while connections are open",
        "the next request on each is refused",
        Outside(|trial| Box::pin(row_113(trial))),
    ),
    Row::new(
        114,
        P0,
        "value replaced during traffic",
        "each request carries the old value or the new one; the placeholder stays",
        Outside(|trial| Box::pin(row_114(trial))),
    ),
    Row::new(
        115,
        P0,
        "placeholder of a destroyed sandbox in the next one",
        "refused",
        Outside(|trial| Box::pin(row_115(trial))),
    ),
    Row::new(
        116,
        P0,
        "another source address, raw sockets",
        "the listener is the identity; no raw sockets",
        Inside,
    ),
    Row::new(
        117,
        P0,
        "fork or restore: two sandboxes with one placeholder",
        "the child has its own, the parent's is dead in it and lives in the parent",
        Outside(|trial| Box::pin(row_117(trial))),
    ),
    Row::new(
        118,
        P1,
        "fork with the parent's identity: machine id, authority, SSH host keys, random seed",
        "the child has others or none",
        Outside(|trial| Box::pin(row_118(trial))),
    ),
    Row::new(
        119,
        P0,
        "keys in a sandbox, a template, a snapshot or the server's folder",
        "no private key and no real value is there",
        Outside(|trial| Box::pin(row_119(trial))),
    ),
    Row::new(
        120,
        P1,
        "pause and resume",
        "the sandbox still trusts its authority, and its certificates last",
        Outside(|trial| Box::pin(row_120(trial))),
    ),
    Row::new(
        121,
        P0,
        "another tenant's key: show, attach, exec, read the token",
        "like an id that does not exist",
        Outside(|trial| Box::pin(row_121(trial))),
    ),
    Row::new(
        122,
        P1,
        "connector attached to a variable such as PATH or LD_PRELOAD",
        "refused",
        Outside(|trial| Box::pin(row_122(trial))),
    ),
    Row::new(
        123,
        P0,
        "the sandbox asks the platform for secrets",
        "no way there, and no key",
        Outside(|trial| Box::pin(row_123(trial))),
    ),
    Row::new(
        124,
        P1,
        "credential files of agents stay in the sandbox",
        "they hold placeholders alone",
        Inside,
    ),
];

async fn row_112(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let id = lab.bare(&["--allowed-domain", crate::stand::BOUND]).await?;
    let attach = async {
        lab.attach(&id, UID, "REFERO_MCP_TOKEN").await?;
        let token = lab.variable(&id, "REFERO_MCP_TOKEN").await?;
        let hand_over = format!(
            "for f in /tmp/selftest-*.ready; do printf %s {token} > \"${{f%.ready}}.token\"; done"
        );
        lab.world.exec(&id, &hand_over).await?;
        Ok(token)
    };
    let before = lab.stand.log.count();
    let (_, token) = trial.around(&id, "held_before_attach", attach).await?;
    let seen = lab.stand.log.since(before);
    let leaked = seen
        .iter()
        .any(|seen| memchr::memmem::find(&seen.head, token.as_bytes()).is_some());
    trial.check(
        "the placeholder at the provider",
        "never as it is",
        !leaked,
        format!("{leaked}"),
    );
    trial.inside_of(&id, "use", json!(token)).await?;
    lab.destroy(&id).await
}

async fn row_113(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let id = lab.bound().await?;
    let detach = async {
        lab.world
            .json(&["sandbox", "connectors", "detach", &id, UID, "--json"])
            .await
    };
    trial.around(&id, "held_while", detach).await?;
    lab.destroy(&id).await
}

async fn row_114(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let (old, new) = (
        lab.canary("spare-old").value(),
        lab.canary("spare-new").value(),
    );
    let create = [
        "connectors",
        "create",
        "github",
        "--name",
        "rotating",
        "--stdin",
        "--json",
    ];
    lab.world.json_with_stdin(&create, old).await?;
    let id = lab.bare(&["--network-policy", "deny-all"]).await?;
    lab.attach(&id, "github/rotating", "GITHUB_TOKEN").await?;
    let placeholder = lab.variable(&id, "GITHUB_TOKEN").await?;
    let before = lab.stand.log.count();
    let rotate = async {
        let rotate = [
            "connectors",
            "rotate",
            "github/rotating",
            "--stdin",
            "--json",
        ];
        lab.world.json_with_stdin(&rotate, new).await
    };
    trial.around(&id, "until_told", rotate).await?;
    let seen = lab.stand.log.since(before);
    let values: Vec<&str> = seen
        .iter()
        .flat_map(|seen| seen.headers("authorization"))
        .collect();
    let (old, new) = (format!("Bearer {old}"), format!("Bearer {new}"));
    let is_one = values.iter().all(|value| *value == old || *value == new);
    trial.check(
        "values at the provider",
        "old or new, never a mix",
        is_one && !values.is_empty(),
        format!("{} requests", values.len()),
    );
    let order = values
        .iter()
        .skip_while(|value| **value == old)
        .all(|value| *value == new);
    trial.check(
        "their order",
        "never old again after new",
        order,
        "as they came",
    );
    let after = lab.variable(&id, "GITHUB_TOKEN").await?;
    trial.check(
        "the placeholder",
        "unchanged",
        after == placeholder,
        "compared",
    );
    lab.destroy(&id).await
}

async fn row_115(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let gone = lab.bound().await?;
    let token = lab.variable(&gone, "REFERO_MCP_TOKEN").await?;
    lab.destroy(&gone).await?;
    let next = lab.bound().await?;
    trial
        .inside_of(&next, "old_placeholder", json!(token))
        .await?;
    trial.inside_of(&next, "use_new", Value::Null).await?;
    lab.destroy(&next).await
}

/// A fork of a sandbox with the attack programs; its id.
async fn fork(trial: &Trial<'_>, parent: &str) -> Result<String> {
    let made = trial
        .lab
        .world
        .json(&["sandbox", "fork", parent, "--json"])
        .await?;
    Ok(made["id"].as_str().unwrap_or_default().to_owned())
}

async fn row_117(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let parent = lab.bound().await?;
    let token = lab.variable(&parent, "REFERO_MCP_TOKEN").await?;
    trial
        .inside_of(&parent, "leave_a_copy", Value::Null)
        .await?;
    let child = fork(trial, &parent).await?;
    let own = lab.variable(&child, "REFERO_MCP_TOKEN").await?;
    trial.check(
        "the child's placeholder",
        "another one",
        own.contains("miosa-tok-") && own != token,
        "compared",
    );
    trial
        .inside_of(&child, "copy_is_dead", json!(token))
        .await?;
    trial.inside_of(&child, "use_new", Value::Null).await?;
    trial
        .inside_of(&parent, "old_placeholder_of_child", json!(own))
        .await?;
    trial.inside_of(&parent, "use_new", Value::Null).await?;
    let taken = ["sandbox", "snapshot", "create", &parent, "--json"];
    let snapshot = lab.world.json(&taken).await?["id"].clone();
    let snapshot = snapshot.as_str().unwrap_or_default();
    let restore = [
        "sandbox", "snapshot", "restore", &parent, snapshot, "--json",
    ];
    lab.world.json(&restore).await?;
    trial.inside_of(&parent, "use_new", Value::Null).await?;
    lab.destroy(&child).await?;
    lab.destroy(&parent).await
}

async fn row_118(trial: &mut Trial<'_>) -> Result<()> {
    let parent = trial.lab.bound().await?;
    let before = trial.inside_of(&parent, "identity", json!(true)).await?;
    let child = fork(trial, &parent).await?;
    let after = trial.inside_of(&child, "identity", json!(false)).await?;
    for what in [
        "machine id",
        "authority",
        "SSH host key",
        "random seed",
        "host name",
    ] {
        let (old, new) = (&before[what], &after[what]);
        trial.check(
            what,
            "not the parent's",
            old.is_string() && old != new,
            if old == new {
                "the same"
            } else {
                "another or none"
            },
        );
    }
    trial.lab.destroy(&child).await?;
    trial.lab.destroy(&parent).await
}

/// What of a run's secrets is in the snapshots below the server's folder: their disks are read, holes left out.
fn in_snapshots(trial: &Trial<'_>) -> Result<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut disks = 0;
    for file in crate::sweep::files_below(&trial.lab.data_dir().join("snapshots")) {
        disks += 1;
        let bytes = crate::sweep::data_of(&file)?;
        if memchr::memmem::find(&bytes, b"PRIVATE KEY-----\n").is_some() {
            found.push(format!("a private key in {}", file.display()));
        }
        for canary in &trial.lab.canaries {
            if memchr::memmem::find(&bytes, canary.value().as_bytes()).is_some() {
                found.push(format!("a real value in {}", file.display()));
            }
        }
    }
    Ok((disks, found))
}

async fn row_119(trial: &mut Trial<'_>) -> Result<()> {
    trial.inside("no_keys", Value::Null).await?;
    let mut found = Vec::new();
    for file in crate::sweep::files_below(&trial.lab.data_dir()) {
        let is_disk = file.extension().is_some_and(|ending| ending == "img");
        let bytes = if is_disk {
            Vec::new()
        } else {
            fs_err::read(&file).unwrap_or_default()
        };
        if memchr::memmem::find(&bytes, b"PRIVATE KEY-----").is_some() {
            found.push(file.display().to_string());
        }
    }
    trial.check(
        "private keys in the server's data",
        "none",
        found.is_empty(),
        found.join(", "),
    );
    let lab = trial.lab;
    let id = lab.bound().await?;
    trial.inside_of(&id, "verified", Value::Null).await?;
    lab.world
        .json(&["sandbox", "snapshot", "create", &id, "--json"])
        .await?;
    let (disks, found) = in_snapshots(trial)?;
    trial.check(
        "private keys and real values in a snapshot",
        "none",
        disks > 0 && found.is_empty(),
        format!("{disks} disks searched, {found:?}"),
    );
    lab.destroy(&id).await
}

async fn row_120(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let id = lab.bound().await?;
    trial.inside_of(&id, "verified", Value::Null).await?;
    for verb in ["pause", "resume"] {
        lab.world.json(&["sandbox", verb, &id, "--json"]).await?;
    }
    trial.inside_of(&id, "verified", Value::Null).await?;
    lab.destroy(&id).await
}

async fn row_121(trial: &mut Trial<'_>) -> Result<()> {
    let lab = trial.lab;
    let config = lab.world.folder().join(".miosa/server.toml");
    let config = config.display().to_string();
    let create = [
        "keys",
        "create",
        "--config",
        &config,
        "--for",
        "other-tenant",
        "--json",
    ];
    let made = lab.world.json(&create).await?;
    let key = made["key"].as_str().unwrap_or_default().to_owned();
    trial.check("a key of another tenant", "made", !key.is_empty(), "made");
    for (method, path, body) in foreign_calls(&lab.first) {
        let (status, answer) = lab.api(&key, method, &path, &body).await?;
        trial
            .received
            .extend_from_slice(answer.to_string().as_bytes());
        let code = answer["error"]["code"]
            .as_str()
            .unwrap_or("none")
            .to_owned();
        let ok = status == 404 && code.ends_with("NOT_FOUND");
        trial.check(
            &format!("{method} {path}"),
            "not found",
            ok,
            format!("{status} {code}"),
        );
    }
    for path in [
        "/sandboxes".to_owned(),
        "/connect/connectors".to_owned(),
        "/egress/secrets".to_owned(),
        "/egress/bindings".to_owned(),
        "/egress/policies".to_owned(),
        "/egress/allowlist".to_owned(),
        format!("/egress/audit?resource_id={}", lab.first),
    ] {
        let (status, answer) = lab.api(&key, "GET", &path, &Value::Null).await?;
        let text = answer.to_string();
        let is_own = !text.contains(&lab.first) && !text.contains("/selftest");
        trial.check(
            &format!("GET {path}"),
            "nothing of another tenant",
            status == 200 && is_own,
            status.to_string(),
        );
    }
    Ok(())
}

/// What somebody would try with another tenant's ids.
fn foreign_calls(first: &str) -> Vec<(&'static str, String, Value)> {
    let attach = json!({"connector": UID, "env_name": "OTHER_TOKEN"});
    let rule = json!({"host": "evil.example", "effect": "allow", "resource_id": first, "resource_type": "sandbox"});
    let observe = json!({"mode": "audit_only", "resource_id": first, "resource_type": "sandbox"});
    vec![
        ("GET", format!("/sandboxes/{first}"), Value::Null),
        (
            "POST",
            format!("/sandboxes/{first}/exec"),
            json!({"command": "id"}),
        ),
        ("GET", format!("/sandboxes/{first}/env"), Value::Null),
        ("GET", format!("/sandboxes/{first}/connectors"), Value::Null),
        ("POST", format!("/sandboxes/{first}/connectors"), attach),
        ("GET", format!("/sandboxes/{first}/egress"), Value::Null),
        (
            "GET",
            format!("/sandboxes/{first}/egress/explain?url=https://a.example/"),
            Value::Null,
        ),
        ("POST", "/egress/allowlist".to_owned(), rule),
        ("PATCH", "/egress/policies".to_owned(), observe),
        (
            "GET",
            format!("/egress/pending?resource_id={first}"),
            Value::Null,
        ),
        (
            "GET",
            format!("/egress/audit/suggestions?resource_id={first}"),
            Value::Null,
        ),
        (
            "GET",
            "/connect/connectors/github%2Fselftest".to_owned(),
            Value::Null,
        ),
        ("DELETE", format!("/sandboxes/{first}"), Value::Null),
    ]
}

async fn row_122(trial: &mut Trial<'_>) -> Result<()> {
    let id = trial.lab.bare(&[]).await?;
    for name in HARMFUL {
        let attach = [
            "sandbox",
            "connectors",
            "attach",
            &id,
            UID,
            "--env",
            name,
            "--json",
        ];
        let answer = trial.cli(&attach).await?;
        let code = answer["error"]["code"]
            .as_str()
            .unwrap_or("none")
            .to_owned();
        trial.check(name, "refused", code == "INVALID_ENV_NAME", code);
    }
    trial.lab.destroy(&id).await
}

async fn row_123(trial: &mut Trial<'_>) -> Result<()> {
    let address = trial.lab.api_address()?;
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, "0"));
    let argument = json!([host, port.parse::<u16>().unwrap_or_default()]);
    trial.inside("row_123", argument).await.map(drop)
}
