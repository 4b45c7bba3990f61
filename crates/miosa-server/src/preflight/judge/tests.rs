use std::os::unix::fs::PermissionsExt;

use miosa_api::broker::RefusalCode;
use miosa_api::preflight::StepCode;

use super::steps;
use crate::agents::Runner;
use crate::bindings::Bound;
use crate::connectors::Catalog;
use crate::preflight::script::{Checks, Ran, Seen, Tried, parse, text};
use crate::store::bindings::{BindingRow, LIVE};
use crate::store::connectors::ConnectorRow;

fn bound(key: &str, env_name: &str) -> Bound {
    let catalog = Catalog::load(None).unwrap();
    let definition = catalog.of(key, key).cloned().expect("a shipped definition");
    Bound {
        row: BindingRow {
            id: "b".into(),
            tenant_id: "t".into(),
            sandbox_id: "s".into(),
            connector_id: "c".into(),
            env_name: env_name.into(),
            placeholder: format!("miosa-tok-{}", "0".repeat(48)),
            mcp: None,
            state: LIVE.into(),
            created_at: 0,
        },
        connector: ConnectorRow {
            uid: key.into(),
            ..ConnectorRow::default()
        },
        definition: Some(definition),
    }
}

fn no_answer(exit: i32) -> Tried {
    Tried {
        exit,
        said: "refused".into(),
        ..Tried::default()
    }
}

const NOW: i64 = 1_700_000_000;

fn ran(exit: i32, said: &str) -> Ran {
    Ran {
        exit,
        said: said.into(),
    }
}

fn answer(status: u16, body: &str) -> Tried {
    Tried {
        exit: 0,
        status,
        body: body.into(),
        ..Tried::default()
    }
}

fn refusal(code: RefusalCode) -> Tried {
    answer(
        code.status(),
        &format!(
            r#"{{"error":{{"code":"{}","message":"m","retryable":false}}}}"#,
            code.as_str()
        ),
    )
}

fn good(bound: &Bound) -> Seen {
    Seen {
        cwd: true,
        clock: Some(NOW + 1),
        agent: Some(ran(0, "2.1.197 (Claude Code)")),
        files: [("/root/.claude.json".into(), "{}".into())].into(),
        env: [(bound.row.env_name.clone(), bound.row.placeholder.clone())].into(),
        tried: [
            (0, answer(200, "{}")),
            (1, refusal(RefusalCode::PathNotBound)),
            (2, refusal(RefusalCode::MethodNotBound)),
            (3, refusal(RefusalCode::AuthorityMismatch)),
            (4, refusal(RefusalCode::PlaceholderNotBound)),
            (5, refusal(RefusalCode::CleartextCredential)),
        ]
        .into(),
        trust: [
            ("curl".into(), ran(0, "")),
            (
                "git".into(),
                ran(128, "The requested URL returned error: 403"),
            ),
        ]
        .into(),
    }
}

fn failing(bound: &[Bound], seen: &Seen) -> Vec<(String, StepCode, String)> {
    let checks = Checks {
        cwd: "/workspace".into(),
        program: Some("claude"),
        settings: &[],
        bound,
    };
    let all = steps(&checks, Some(Runner::ClaudeCode), seen, NOW);
    let bad = all.into_iter().filter(|s| !s.ok);
    bad.map(|s| {
        assert!(s.hint.is_some(), "{} says what to do", s.name);
        (s.name, s.code, s.detail)
    })
    .collect()
}

#[test]
fn all_as_it_must_be_passes_step_by_step() {
    let bound = [bound("refero/design-research", "REFERO_MCP_TOKEN")];
    let checks = Checks {
        cwd: "/workspace".into(),
        program: Some("claude"),
        settings: &[],
        bound: &bound,
    };
    let names: Vec<_> = steps(&checks, Some(Runner::ClaudeCode), &good(&bound[0]), NOW)
        .into_iter()
        .map(|s| (s.name, s.code))
        .collect();
    let expected = [
        "cwd",
        "clock",
        "agent",
        "agent_config",
        "environment",
        "probe",
        "wrong_path",
        "wrong_method",
        "spoofed_host",
        "other_host",
        "plain_http",
        "trust",
    ];
    assert_eq!(names, expected.map(|name| (name.to_owned(), StepCode::Ok)));
}

#[test]
#[expect(
    clippy::too_many_lines,
    clippy::type_complexity,
    reason = "a table of cases"
)]
fn each_thing_that_is_not_as_it_must_be_is_one_failing_step() {
    let bound = [bound("refero/design-research", "REFERO_MCP_TOKEN")];
    let without = |change: fn(&mut Seen)| {
        let mut seen = good(&bound[0]);
        change(&mut seen);
        failing(&bound, &seen)
    };
    let rows: [(fn(&mut Seen), &str, StepCode, &str); 22] = [
        (|s| s.cwd = false, "cwd", StepCode::CwdMissing, "/workspace"),
        (
            |s| s.clock = Some(NOW - 3600),
            "clock",
            StepCode::ClockWrong,
            "-3600 s",
        ),
        (
            |s| s.tried.get_mut(&0).unwrap().date = "Tue, 14 Nov 2023 23:13:20 GMT".into(),
            "clock",
            StepCode::ClockWrong,
            "provider",
        ),
        (|s| s.agent = None, "agent", StepCode::NoAnswer, "`claude`"),
        (
            |s| s.agent = Some(ran(127, "not found")),
            "agent",
            StepCode::AgentNotInstalled,
            "`claude`",
        ),
        (
            |s| s.agent = Some(ran(1, "no module")),
            "agent",
            StepCode::AgentDoesNotStart,
            "no module",
        ),
        (
            |s| drop(s.files.insert("/root/.claude.json".into(), "{".into())),
            "agent_config",
            StepCode::AgentConfigInvalid,
            "/root/.claude.json",
        ),
        (
            |s| s.env.clear(),
            "environment",
            StepCode::EnvironmentChanged,
            "empty",
        ),
        (
            |s| {
                drop(
                    s.env
                        .insert("REFERO_MCP_TOKEN".into(), "the-real-one".into()),
                )
            },
            "environment",
            StepCode::EnvironmentChanged,
            "something else",
        ),
        (
            |s| drop(s.tried.insert(0, answer(401, "no"))),
            "probe",
            StepCode::CredentialRejected,
            "401",
        ),
        (
            |s| drop(s.tried.insert(0, answer(403, "scope"))),
            "probe",
            StepCode::CredentialLacksScope,
            "403",
        ),
        (
            |s| drop(s.tried.insert(0, answer(429, "slow"))),
            "probe",
            StepCode::ProviderRateLimited,
            "429",
        ),
        (
            |s| drop(s.tried.insert(0, answer(500, "oh"))),
            "probe",
            StepCode::ProviderFailed,
            "500",
        ),
        (
            |s| drop(s.tried.insert(0, refusal(RefusalCode::SecretUnavailable))),
            "probe",
            StepCode::BrokerRefused,
            "EGRESS_SECRET_UNAVAILABLE",
        ),
        (
            |s| drop(s.tried.insert(0, refusal(RefusalCode::UpstreamUnreachable))),
            "probe",
            StepCode::ProviderUnreachable,
            "EGRESS_UPSTREAM_UNREACHABLE",
        ),
        (
            |s| drop(s.tried.insert(0, no_answer(7))),
            "probe",
            StepCode::BrokerUnreachable,
            "no answer",
        ),
        (
            |s| drop(s.tried.insert(1, answer(200, "{}"))),
            "wrong_path",
            StepCode::NotRefused,
            "status 200",
        ),
        (
            |s| drop(s.tried.remove(&2)),
            "wrong_method",
            StepCode::NoAnswer,
            "in time",
        ),
        (
            |s| drop(s.tried.insert(3, answer(200, "{}"))),
            "spoofed_host",
            StepCode::NotRefused,
            "miosa-preflight.invalid",
        ),
        (
            |s| drop(s.tried.insert(4, refusal(RefusalCode::UpstreamNotFound))),
            "other_host",
            StepCode::NotRefused,
            "EGRESS_UPSTREAM_NOT_FOUND",
        ),
        (
            |s| drop(s.tried.insert(5, answer(301, ""))),
            "plain_http",
            StepCode::NotRefused,
            "status 301",
        ),
        (
            |s| {
                drop(
                    s.trust
                        .insert("node".into(), ran(1, "SELF_SIGNED_CERT_IN_CHAIN")),
                )
            },
            "trust",
            StepCode::TrustMissing,
            "not trusted by node",
        ),
    ];
    for (change, name, code, detail) in rows {
        let bad = without(change);
        assert_eq!(bad.len(), 1, "{name}: {bad:?}");
        assert_eq!((bad[0].0.as_str(), bad[0].1), (name, code));
        assert!(bad[0].2.contains(detail), "{name}: {}", bad[0].2);
        assert!(!bad[0].2.contains("the-real-one"));
    }
}

#[test]
fn a_name_that_does_not_resolve_counts_as_refused() {
    let bound = [bound("refero/design-research", "REFERO_MCP_TOKEN")];
    let mut seen = good(&bound[0]);
    seen.tried.insert(4, no_answer(6));
    assert!(failing(&bound, &seen).is_empty());
}

#[test]
fn what_says_nothing_about_certificates_is_no_failure_and_not_called_good() {
    let bound = [bound("refero/design-research", "REFERO_MCP_TOKEN")];
    let checks = Checks {
        cwd: "/workspace".into(),
        program: None,
        settings: &[],
        bound: &bound,
    };
    let mut seen = good(&bound[0]);
    seen.trust.insert("npm".into(), ran(124, "certificate"));
    let all = steps(&checks, None, &seen, NOW);
    let trust = all.iter().find(|s| s.name == "trust").unwrap();
    assert_eq!((trust.ok, trust.code), (true, StepCode::NotTried));
    assert!(
        trust.detail.ends_with("nothing learned of npm"),
        "{trust:?}"
    );
}

/// The script is run by a real shell with a `curl` that prints its arguments.
#[test]
fn the_script_sends_the_variable_where_the_definition_says() {
    let folder = tempfile::tempdir().unwrap();
    let program = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs_err::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    program(
        "curl",
        "while [ $# -gt 0 ]; do [ \"$1\" = -o ] && { shift; o=$1; }; a=\"$a<$1>\"; shift; done\nprintf %s \"$a\" >\"$o\"\nprintf 200",
    );
    program("tool", "echo version 7");
    program("node", "echo \"$H $P $2\"; exit 1");
    for name in [
        "sh", "base64", "tr", "head", "tail", "sed", "mktemp", "rm", "timeout", "date", "env",
    ] {
        std::os::unix::fs::symlink(format!("/usr/bin/{name}"), folder.path().join(name)).unwrap();
    }
    fs_err::write(folder.path().join("settings.json"), "{\"a\": 1}").unwrap();
    let bound = [
        bound("refero/design-research", "REFERO_MCP_TOKEN"),
        bound("github", "GH_TOKEN"),
    ];
    let checks = Checks {
        cwd: "/no such 'folder'".into(),
        program: Some("tool"),
        settings: &["$HOME/settings.json", "$HOME/absent.json"],
        bound: &bound,
    };
    let script = text(&checks);
    assert!(
        !script.contains(&bound[0].row.placeholder),
        "the text holds no placeholder"
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .env("PATH", folder.path())
        .env("HOME", folder.path())
        .env("REFERO_MCP_TOKEN", "ph one")
        .env("GH_TOKEN", "ph-two")
        .output()
        .unwrap();
    let seen = parse(&String::from_utf8_lossy(&output.stdout));
    assert!(!seen.cwd && seen.clock.is_some());
    assert_eq!(seen.agent, Some(ran(0, "version 7\n")));
    let node = &seen.trust["node"];
    assert!(
        node.exit == 1 && node.said.starts_with("api.refero.design 443 const"),
        "{node:?}"
    );
    assert_eq!(seen.trust.len(), 2, "{:?}", seen.trust);
    let files: Vec<_> = seen.files.values().collect();
    assert_eq!(files, ["{\"a\": 1}"]);
    assert_eq!(seen.env["REFERO_MCP_TOKEN"], "ph one");
    let requests: Vec<_> = seen
        .tried
        .values()
        .map(|t| (t.status, t.body.clone()))
        .collect();
    // GitHub's API takes every path and method, so there is no wrong one to try.
    assert_eq!(requests.len(), 6 + 4, "{output:?}");
    let probe = &requests[0].1;
    assert!(
        probe.contains("<-H><authorization: Bearer ph one>"),
        "{probe}"
    );
    assert!(
        probe.contains("<-X><POST>") && probe.contains("\"method\":\"initialize\""),
        "{probe}"
    );
    assert!(
        probe.ends_with("<https://api.refero.design/mcp>"),
        "{probe}"
    );
    assert!(
        requests[3]
            .1
            .contains("<-H><Host: miosa-preflight.invalid>")
    );
    assert!(requests[5].1.ends_with("<http://api.refero.design/mcp>"));
    assert!(requests[6].1.contains("<-H><authorization: Bearer ph-two>"));
}
