//! `miosa mcp` with the clients people have: the MCP Inspector and Claude Code, over standard streams and
//! streamable HTTP, against the real server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use miosa_testkit::model::{self, Script, Step};
use miosa_testkit::npm;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::python;
use crate::support::{MANAGED, Stage};

const INSPECTOR: &str = "@modelcontextprotocol/inspector@2.12.0";
const CLAUDE: &str = "@anthropic-ai/claude-code@2.1.330";
/// Cache folder of both; its number changes with their versions.
const CLIENTS: &str = "mcp-clients-1";
/// How long one client may take, on a machine that does much else.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(240);
const ASKED: &str = "Orchestrate a sandbox with the tools you have";

async fn clients(stage: &Stage) -> Result<PathBuf> {
    npm::install(&stage.cache, CLIENTS, &[INSPECTOR, CLAUDE]).await
}

/// One call of a tool with the Inspector; its structured result, and whether it is an error.
async fn call(stage: &Stage, how: &[&str], tool: &str, arguments: &[String]) -> Result<Value> {
    let program = clients(stage).await?.join(".bin/mcp-inspector");
    let mut command = Command::new(program);
    command
        .args(["--cli", "--method", "tools/call", "--tool-name", tool])
        .env("HOME", stage.world.folder())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for argument in arguments {
        command.arg("--tool-arg").arg(argument);
    }
    command.args(how);
    let output = tokio::time::timeout(CLIENT_TIMEOUT, command.output())
        .await
        .context("the Inspector hangs")??;
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text
        .find('{')
        .map(|from| serde_json::from_str(&text[from..]));
    let result: Value = result.context("no result")?.with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("{tool}: {text}{errors}")
    })?;
    holds_no_secret(stage, &text)?;
    Ok(result)
}

fn holds_no_secret(stage: &Stage, text: &str) -> Result<()> {
    for secret in [&stage.rig.refero_token, &stage.rig.model_key] {
        ensure!(!text.contains(secret.as_str()), "a secret is in: {text}");
    }
    Ok(())
}

/// What of a call must have worked.
async fn done(stage: &Stage, how: &[&str], tool: &str, arguments: &[String]) -> Result<Value> {
    let result = call(stage, how, tool, arguments).await?;
    ensure!(result["isError"] != true, "{tool}: {result}");
    Ok(result["structuredContent"].clone())
}

pub async fn the_inspector_orchestrates_over_standard_streams(stage: Arc<Stage>) -> Result<()> {
    let how = ["--", env!("CARGO_BIN_EXE_miosa"), "mcp"];
    schemas_are_portable(&stage, &how).await?;
    let name = ["name=by-inspector".to_owned()];
    let made = done(&stage, &how, "sandbox_create", &name).await?;
    ensure!(made["state"] == "running", "{made}");
    let id = made["id"].as_str().context("no id")?;
    connects(&stage, &how, id).await?;
    works_with_files(&stage, &how, id).await?;
    looks_at_the_network(&stage, &how, id).await?;
    let gone = done(&stage, &how, "sandbox_destroy", &of(id, &[])).await?;
    ensure!(gone["destroyed"] == true, "{gone}");
    let late = of(id, &["command=echo gone"]);
    let error = call(&stage, &how, "sandbox_exec", &late).await?;
    let text = error["content"][0]["text"].as_str().unwrap_or_default();
    ensure!(
        error["isError"] == true && text.starts_with("SANDBOX_NOT_RUNNING: "),
        "{error}"
    );
    let error = call(&stage, &how, "sandbox_exec", &of(id, &["cwd=/"])).await?;
    let code = &error["structuredContent"]["error"]["code"];
    ensure!(code == "VALIDATION_FAILED", "{error}");
    Ok(())
}

/// The Inspector names what some client would not take.
async fn schemas_are_portable(stage: &Stage, how: &[&str]) -> Result<()> {
    let mut command = Command::new(clients(stage).await?.join(".bin/mcp-inspector"));
    command
        .args(["--cli", "--method", "tools/list", "--strict"])
        .args(how)
        .env("HOME", stage.world.folder())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(CLIENT_TIMEOUT, command.output())
        .await
        .context("the Inspector hangs")??;
    let listed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && listed.contains("sandbox_create"),
        "{listed}{said}"
    );
    ensure!(
        !said.contains("Issue:") && !said.contains("Warning:"),
        "{said}"
    );
    Ok(())
}

/// Arguments about a sandbox.
fn of(id: &str, more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|one| (*one).to_owned());
    std::iter::once(format!("sandbox_id={id}"))
        .chain(more)
        .collect()
}

async fn connects(stage: &Stage, how: &[&str], id: &str) -> Result<()> {
    let connector = format!("connector={MANAGED}");
    let attached = done(stage, how, "connector_attach", &of(id, &[&connector])).await?;
    ensure!(attached["env_name"] == "REFERO_MCP_TOKEN", "{attached}");
    let proved = done(stage, how, "connector_preflight", &of(id, &[])).await?;
    ensure!(proved["ok"] == true, "{proved}");
    Ok(())
}

async fn works_with_files(stage: &Stage, how: &[&str], id: &str) -> Result<()> {
    let write = of(id, &["path=/workspace/a.txt", "content=written by a tool"]);
    done(stage, how, "sandbox_write_file", &write).await?;
    let command = of(id, &["command=cat a.txt; echo; env; exit 3"]);
    let ran = done(stage, how, "sandbox_exec", &command).await?;
    ensure!(ran["exit_code"] == 3, "{ran}");
    let said = ran["stdout"].as_str().unwrap_or_default();
    for part in ["written by a tool", "REFERO_MCP_TOKEN=miosa-tok-"] {
        ensure!(said.contains(part), "no {part}: {ran}");
    }
    let read = of(id, &["path=/workspace/a.txt"]);
    let read = done(stage, how, "sandbox_read_file", &read).await?;
    ensure!(
        read["content"] == "written by a tool" && read["truncated"] == false,
        "{read}"
    );
    Ok(())
}

async fn looks_at_the_network(stage: &Stage, how: &[&str], id: &str) -> Result<()> {
    let url = of(id, &["url=https://169.254.169.254/latest"]);
    let why = done(stage, how, "miosa_network_why", &url).await?;
    ensure!(why["decision"] == "deny", "{why}");
    let seen = done(stage, how, "miosa_audit_query", &of(id, &[])).await?;
    let events = seen["events"].as_array();
    ensure!(events.is_some_and(|events| !events.is_empty()), "{seen}");
    Ok(())
}

pub async fn claude_code_orchestrates(stage: Arc<Stage>) -> Result<()> {
    let program = clients(&stage)
        .await?
        .join("@anthropic-ai/claude-code-linux-x64/claude");
    let model = model::start_plain("key-of-a-test", vec![orchestration()]).await?;
    let folder = tempfile::tempdir()?;
    let config = json!({"mcpServers": {"miosa": {"command": env!("CARGO_BIN_EXE_miosa"), "args": ["mcp"],
        "env": {"HOME": stage.world.folder()}}}});
    let config_file = folder.path().join("mcp.json");
    fs_err::write(&config_file, config.to_string())?;
    let mut command = Command::new(program);
    command
        .args([
            "-p",
            ASKED,
            "--output-format",
            "json",
            "--dangerously-skip-permissions",
        ])
        .arg("--mcp-config")
        .arg(&config_file)
        .arg("--strict-mcp-config")
        .current_dir(folder.path())
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("IS_SANDBOX", "1"),
            ("ENABLE_TOOL_SEARCH", "false"),
        ])
        .envs([
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("ANTHROPIC_API_KEY", "key-of-a-test"),
        ])
        .env("HOME", folder.path())
        .env("ANTHROPIC_BASE_URL", format!("http://{}", model.address))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(CLIENT_TIMEOUT, command.output())
        .await
        .context("Claude Code hangs")??;
    let text = String::from_utf8_lossy(&output.stdout);
    let result: Value = serde_json::from_str(&text).with_context(|| text.clone().into_owned())?;
    ensure!(result["is_error"] == false, "{result}");
    let said = result["result"].as_str().unwrap_or_default();
    ensure!(said == "The sandbox did it.", "{result}");
    let left = stage.world.json(&["sandbox", "list", "--json"]).await?;
    let mut left = left.as_array().into_iter().flatten();
    ensure!(
        !left.any(|one| one["name"] == "by-claude"),
        "it was not destroyed"
    );
    let answers = model.log.all();
    ensure!(
        answers.len() >= 6,
        "the model was asked {} times",
        answers.len()
    );
    Ok(())
}

/// Create → write → exec → read back what the command made → destroy; the id comes from the first result.
fn orchestration() -> Script {
    let of = |more: Value| {
        let mut input = more;
        input["sandbox_id"] = "{{first.id}}".into();
        input
    };
    Script::new(
        ASKED,
        vec![
            Step::tool("__sandbox_create", json!({"name": "by-claude"})),
            Step::tool(
                "__sandbox_write_file",
                of(json!({"path": "/workspace/in.txt", "content": "six times seven"})),
            ),
            Step::tool(
                "__sandbox_exec",
                of(
                    json!({"command": "test \"$(cat /workspace/in.txt)\" = 'six times seven' && echo 42 > out.txt"}),
                ),
            ),
            Step::tool(
                "__sandbox_read_file",
                of(json!({"path": "/workspace/out.txt"})),
            ),
            Step::tool("__sandbox_destroy", of(json!({}))),
            Step::Text("The sandbox did it.".to_owned()),
        ],
    )
}

/// The key that `miosa up` made.
fn key(stage: &Stage) -> Result<String> {
    let settings = fs_err::read(stage.world.folder().join(".miosa/config.json"))?;
    let settings: Value = serde_json::from_slice(&settings)?;
    Ok(settings["api_key"].as_str().context("no key")?.to_owned())
}

pub async fn the_python_sdk_runs_an_agent_and_follows_it(stage: Arc<Stage>) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/mcp");
    let pins = folder.join("requirements.txt");
    let cache = stage.cache.clone();
    let python =
        tokio::task::spawn_blocking(move || python::interpreter(&cache, "python-mcp", &pins));
    let (_child, url) = listening(&stage, &[]).await?;
    let mut command = Command::new(python.await??);
    command
        .arg("-B")
        .arg(folder.join("orchestrate.py"))
        .env("MIOSA_MCP_URL", url)
        .env("MIOSA_API_KEY", key(&stage)?)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(CLIENT_TIMEOUT, command.output())
        .await
        .context("the program hangs")??;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && text.trim() == "done",
        "{text}{errors}"
    );
    Ok(())
}

/// `miosa mcp --http` on a free port, and its address.
async fn listening(stage: &Stage, more: &[&str]) -> Result<(Child, String)> {
    let mut child = stage
        .world
        .command()
        .args(["mcp", "--http", "127.0.0.1:0", "--json"])
        .args(more)
        .env("MIOSA_API_KEY", "msk_u_not_a_key_of_this_server")
        .spawn()?;
    let stdout = child.stdout.take().context("no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut text = String::new();
    while let Some(line) = lines.next_line().await? {
        text.push_str(&line);
        if let Ok(said) = serde_json::from_str::<Value>(&text) {
            let url = said["url"].as_str().context("no address")?.to_owned();
            return Ok((child, url));
        }
    }
    anyhow::bail!("it ended: {text}")
}

pub async fn over_http_every_request_needs_a_key(stage: Arc<Stage>) -> Result<()> {
    let (_child, url) = listening(&stage, &[]).await?;
    let bearer = format!("Bearer {}", key(&stage)?);
    let header = format!("Authorization: {bearer}");
    let how = [
        "--transport",
        "http",
        "--server-url",
        &url,
        "--header",
        &header,
    ];
    let made = done(&stage, &how, "sandbox_create", &[]).await?;
    let id = made["id"].as_str().context("no id")?;
    let command = of(id, &["command=echo over http"]);
    let ran = done(&stage, &how, "sandbox_exec", &command).await?;
    ensure!(ran["stdout"] == "over http\n", "{ran}");
    done(&stage, &how, "sandbox_destroy", &of(id, &[])).await?;

    let cases: [Case<'_>; 6] = [
        ("with its key", &[("authorization", &bearer)], 200),
        (
            "without a key: the process's own counts for nothing",
            &[],
            401,
        ),
        (
            "with an unknown key",
            &[("authorization", "Bearer msk_u_unknown")],
            401,
        ),
        (
            "with two keys",
            &[("authorization", &bearer), ("authorization", &bearer)],
            401,
        ),
        (
            "by another name",
            &[("authorization", &bearer), ("host", "attacker.example")],
            403,
        ),
        (
            "from a web page",
            &[
                ("authorization", &bearer),
                ("origin", "http://127.0.0.1:3000"),
            ],
            403,
        ),
    ];
    for (what, headers, expected) in cases {
        let status = asked(&url, headers).await?;
        ensure!(status == expected, "{what}: {status}");
    }
    Ok(())
}

/// What is asked, with which headers, and the status.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

/// Status of an `initialize` with these headers.
async fn asked(url: &str, headers: &[(&str, &str)]) -> Result<u16> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
        "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}});
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        url,
        "-d",
        &body.to_string(),
    ]);
    command.args([
        "-H",
        "content-type: application/json",
        "-H",
        "accept: application/json, text/event-stream",
    ]);
    for (name, value) in headers {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    let output = command.output().await?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

pub async fn nothing_is_done_while_no_key_can_be_checked(stage: Arc<Stage>) -> Result<()> {
    // A port that was free a moment ago, and that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let nobody = format!("http://{free}");
    let (mut child, url) = listening(&stage, &["--endpoint", &nobody]).await?;
    let status = asked(&url, &[("authorization", "Bearer msk_u_any")]).await?;
    ensure!(status == 503, "{status}");
    // Told to end, it does.
    let pid = child
        .id()
        .and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
    rustix::process::kill_process(pid.context("it ended")?, rustix::process::Signal::TERM)?;
    let ended = tokio::time::timeout(CLIENT_TIMEOUT, child.wait()).await;
    ensure!(
        ended.context("it does not end")??.success(),
        "it fails at its end"
    );
    Ok(())
}

pub async fn it_listens_to_nobody_it_was_not_told_of(stage: Arc<Stage>) -> Result<()> {
    let error = stage
        .refused(1, &["mcp", "--http", "0.0.0.0:0", "--json"])
        .await?;
    ensure!(
        error["hint"]
            .as_str()
            .unwrap_or_default()
            .contains("--allow-host"),
        "{error}"
    );
    Ok(())
}
