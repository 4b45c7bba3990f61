use std::collections::BTreeMap;

use super::*;

fn refero() -> BoundConnector {
    BoundConnector {
        uid: "refero/design-research".into(),
        provider: "refero".into(),
        env_name: "DESIGN_TOKEN".into(),
        mcp: Some(McpServer {
            name: "refero".into(),
            url: "https://api.refero.design/mcp".into(),
            header: "authorization".into(),
            prefix: "Bearer ".into(),
            paths: Vec::new(),
            policy: None,
        }),
    }
}

fn run() -> RunContext {
    RunContext {
        run_id: "r1".into(),
        instruction: "--make a \"page\"".into(),
        model: Some("opus".into()),
        cwd: "/workspace".into(),
        connectors: vec![refero()],
        ..RunContext::default()
    }
}

fn file(plan: &AgentPlan, path: &str) -> String {
    let file = plan.files.iter().find(|f| f.path == path).expect(path);
    String::from_utf8(file.content.clone()).unwrap()
}

#[test]
fn claude_is_started_with_the_variable_not_its_value() {
    let plan = plan(Runner::ClaudeCode, &run());
    assert_eq!(
        plan.argv.join(" "),
        "claude -p --output-format stream-json --verbose --dangerously-skip-permissions --model=opus \
         --mcp-config /run/miosa-agent/r1/mcp.json --strict-mcp-config"
    );
    assert_eq!(plan.stdin.as_deref(), Some(b"--make a \"page\"".as_slice()));
    assert_eq!(plan.env["IS_SANDBOX"], "1");
    assert_eq!(plan.env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"], "1");
    assert_eq!(plan.env["ENABLE_TOOL_SEARCH"], "false");
    let config: serde_json::Value =
        serde_json::from_str(&file(&plan, "/run/miosa-agent/r1/mcp.json")).unwrap();
    assert_eq!(
        config,
        serde_json::json!({"mcpServers": {"refero": {
            "type": "http",
            "url": "https://api.refero.design/mcp",
            "headers": {"Authorization": "Bearer ${DESIGN_TOKEN}"},
        }}})
    );
}

#[test]
fn codex_gets_a_home_with_servers_by_variable() {
    let mut run = run();
    run.env
        .insert("OPENAI_BASE_URL".into(), "https://llm.example/v1".into());
    let plan = plan(Runner::Codex, &run);
    assert_eq!(
        plan.argv.join(" "),
        "codex exec --json --skip-git-repo-check --dangerously-bypass-approvals-and-sandbox --model=opus -"
    );
    assert_eq!(plan.env["CODEX_HOME"], "/run/miosa-agent/r1/codex");
    let text = file(&plan, "/run/miosa-agent/r1/codex/config.toml");
    let config: toml::Table = toml::from_str(&text).expect("it is TOML");
    let provider = &config["model_providers"]["miosa"];
    assert_eq!(
        provider["base_url"].as_str(),
        Some("https://llm.example/v1")
    );
    assert_eq!(provider["env_key"].as_str(), Some("OPENAI_API_KEY"));
    let server = &config["mcp_servers"]["refero"];
    assert_eq!(
        server["bearer_token_env_var"].as_str(),
        Some("DESIGN_TOKEN")
    );
    assert_eq!(config["analytics"]["enabled"].as_bool(), Some(false));
}

#[test]
fn codex_takes_the_variable_of_the_bound_openai_connector() {
    let mut run = run();
    run.connectors = vec![BoundConnector {
        uid: "openai/work".into(),
        provider: "openai".into(),
        env_name: "WORK_KEY".into(),
        mcp: None,
    }];
    let text = file(
        &plan(Runner::Codex, &run),
        "/run/miosa-agent/r1/codex/config.toml",
    );
    assert!(text.contains("env_key = \"WORK_KEY\""), "{text}");
}

#[test]
fn a_custom_command_gets_the_instruction_as_its_last_argument() {
    let mut run = run();
    run.command = Some("my-agent --fast".into());
    let plan = plan(Runner::Custom, &run);
    assert_eq!(
        plan.argv,
        [
            "sh",
            "-c",
            "my-agent --fast \"$@\"",
            "miosa-agent",
            "--make a \"page\""
        ]
    );
    assert_eq!(plan.env["MIOSA_INSTRUCTION"], "--make a \"page\"");
    let output = std::process::Command::new("sh")
        .args([
            "-c",
            "printf '<%s>' \"$@\"",
            "miosa-agent",
            &run.instruction,
        ])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"<--make a \"page\">");

    run.instruction = "x".repeat(200 * 1024);
    let plan = super::plan(Runner::Custom, &run);
    assert_eq!(plan.argv.len(), 4, "too long for an argument");
    assert_eq!(plan.stdin.map(|s| s.len()), Some(200 * 1024));
}

#[test]
fn the_bootstrap_file_names_variables_only() {
    let text = file(
        &plan(Runner::ClaudeCode, &run()),
        "/workspace/.miosa/runtime-bootstrap.json",
    );
    let facts: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(facts["connectors"][0]["env_name"], "DESIGN_TOKEN");
    assert_eq!(
        facts["mcp_servers"][0]["url"],
        "https://api.refero.design/mcp"
    );
}

#[test]
fn names_of_runners() {
    for (name, stored) in [
        ("claude", "claude-code"),
        ("claude-code", "claude-code"),
        ("codex", "codex"),
        ("custom", "custom"),
    ] {
        assert_eq!(Runner::parse(name).map(Runner::as_str), Some(stored));
    }
    assert!(Runner::parse("hermes").is_none());
}

/// Recorded from Claude Code 2.1.197, shortened.
const CLAUDE: &str = r#"{"type":"system","subtype":"init","session_id":"6c77","model":"opus","tools":["Bash"],"mcp_servers":[{"name":"refero","status":"connected"}]}
{"type":"assistant","message":{"content":[{"type":"text","text":"I look.\nNow."},{"type":"tool_use","id":"t1","name":"mcp__refero__search","input":{"q":"x"}}]},"session_id":"6c77"}
{"type":"user","message":{"role":"user","content":[{"tool_use_id":"t1","type":"tool_result","content":[{"type":"text","text":"three designs"}]}]},"session_id":"6c77"}
not json
{"type":"result","subtype":"success","is_error":false,"result":"Done.","session_id":"6c77","num_turns":2}
"#;

fn kinds(events: &[AgentEvent]) -> Vec<(&str, &str)> {
    events
        .iter()
        .map(|e| (e.kind, e.message.as_str()))
        .collect()
}

#[test]
fn claude_lines_become_events_whatever_the_pieces() {
    let expected = [
        ("agent.started", "session of opus"),
        ("agent.text", "I look. Now."),
        ("agent.tool_call", "mcp__refero__search"),
        ("agent.tool_result", "three designs"),
        ("agent.output", "not json"),
        ("agent.result", "Done."),
    ];
    for size in [1, 7, 4096] {
        let mut checkpoint = Checkpoint::default();
        let mut events = Vec::new();
        for piece in CLAUDE.as_bytes().chunks(size) {
            // Every piece by another reader: a checkpoint holds all there is to know.
            let mut reader = Reader::resume(OutputFormat::ClaudeStream, &checkpoint);
            events.extend(reader.stdout(piece));
            checkpoint = reader.checkpoint(checkpoint.offset + piece.len() as u64);
        }
        assert_eq!(kinds(&events), expected, "pieces of {size}");
        assert_eq!(checkpoint.outcome.output, "Done.");
        assert_eq!(checkpoint.outcome.session_id.as_deref(), Some("6c77"));
        assert_eq!(checkpoint.outcome.failure, None);
    }
}

#[test]
fn an_error_is_told_by_is_error_not_by_subtype() {
    let mut reader = Reader::resume(OutputFormat::ClaudeStream, &Checkpoint::default());
    reader.stdout(
        br#"{"type":"result","subtype":"success","is_error":true,"result":"API Error: TLS"}"#,
    );
    assert!(reader.outcome.failure.is_none(), "the line has not ended");
    reader.finish();
    assert!(
        reader
            .outcome
            .failure
            .as_deref()
            .is_some_and(|why| why.contains("API Error: TLS"))
    );
}

/// Recorded from Codex 0.169.0, shortened.
const CODEX: &str = r#"{"type":"thread.started","thread_id":"01a2"}
{"type":"turn.started"}
{"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"bash -lc ls","status":"in_progress"}}
{"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"bash -lc ls","aggregated_output":"a\nb\n","exit_code":0,"status":"completed"}}
{"type":"item.completed","item":{"id":"item_1","type":"mcp_tool_call","server":"refero","tool":"search","status":"completed"}}
{"type":"item.completed","item":{"id":"item_2","type":"agent_message","text":"hello codex"}}
{"type":"turn.completed","usage":{"input_tokens":1}}
"#;

#[test]
fn codex_lines_become_events() {
    let mut reader = Reader::resume(OutputFormat::CodexJson, &Checkpoint::default());
    let events = reader.stdout(CODEX.as_bytes());
    assert_eq!(
        kinds(&events),
        [
            ("agent.started", "thread started"),
            ("agent.tool_call", "bash -lc ls"),
            ("agent.tool_result", "a b"),
            ("agent.tool_result", "refero.search: completed"),
            ("agent.text", "hello codex"),
            ("agent.result", "turn completed"),
        ]
    );
    assert_eq!(reader.outcome.output, "hello codex");
    assert_eq!(reader.outcome.session_id.as_deref(), Some("01a2"));
    reader.stdout(b"{\"type\":\"turn.failed\",\"error\":{\"message\":\"no key\"}}\n");
    assert!(
        reader
            .outcome
            .failure
            .is_some_and(|why| why.contains("no key"))
    );
}

#[test]
fn text_is_kept_to_its_end_and_big_lines_are_cut() {
    let mut reader = Reader::resume(OutputFormat::Text, &Checkpoint::default());
    let events = reader.stdout(b"one\n\ntwo");
    assert_eq!(
        kinds(&events),
        [("agent.output", "one"), ("agent.output", "")]
    );
    assert_eq!(kinds(&reader.finish()), [("agent.output", "two")]);
    assert_eq!(reader.outcome.output, "one\n\ntwo\n");
    let events = reader.stdout(&[b'x'; 3 * 1024 * 1024]);
    assert!(
        !events.is_empty(),
        "a line without end does not grow without end"
    );
    assert!(reader.outcome.output.len() <= 64 * 1024);
    let events = reader.stderr(b"warning\n");
    assert_eq!(kinds(&events), [("agent.stderr", "warning")]);
    assert!(reader.outcome.stderr.contains("warning"));
    let _: BTreeMap<String, String> = plan(Runner::Custom, &run()).env;
}
