use miosa_api::broker::RefusalCode;

use super::steps;
use crate::agents::Runner;
use crate::bindings::Bound;
use crate::connectors::Catalog;
use crate::preflight::script::{Checks, Seen, Tried, parse, text};
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

fn answer(status: u16, body: &str) -> Tried {
    Tried {
        exit: 0,
        status,
        body: body.into(),
        said: String::new(),
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
        agent: true,
        env: [(bound.row.env_name.clone(), bound.row.placeholder.clone())].into(),
        tried: [
            (0, answer(200, "{}")),
            (1, refusal(RefusalCode::PathNotBound)),
            (2, refusal(RefusalCode::MethodNotBound)),
            (3, refusal(RefusalCode::PlaceholderNotBound)),
            (4, refusal(RefusalCode::CleartextCredential)),
        ]
        .into(),
    }
}

fn failing(bound: &[Bound], seen: &Seen) -> Vec<(String, String)> {
    let checks = Checks {
        cwd: "/workspace".into(),
        program: Some("claude"),
        bound,
    };
    let all = steps(&checks, Some(Runner::ClaudeCode), seen);
    let bad = all.into_iter().filter(|s| !s.ok);
    bad.map(|s| {
        assert!(s.hint.is_some(), "{} says what to do", s.name);
        (s.name, s.detail)
    })
    .collect()
}

#[test]
fn all_as_it_must_be_passes_step_by_step() {
    let bound = [bound("refero/design-research", "REFERO_MCP_TOKEN")];
    let checks = Checks {
        cwd: "/workspace".into(),
        program: Some("claude"),
        bound: &bound,
    };
    let names: Vec<_> = steps(&checks, Some(Runner::ClaudeCode), &good(&bound[0]))
        .into_iter()
        .map(|s| (s.name, s.ok))
        .collect();
    let expected = [
        "cwd",
        "agent",
        "environment",
        "probe",
        "wrong_path",
        "wrong_method",
        "other_host",
        "plain_http",
    ];
    assert_eq!(names, expected.map(|name| (name.to_owned(), true)));
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
    let rows: [(fn(&mut Seen), &str, &str); 11] = [
        (|s| s.cwd = false, "cwd", "/workspace"),
        (|s| s.agent = false, "agent", "`claude`"),
        (|s| s.env.clear(), "environment", "empty"),
        (
            |s| {
                s.env
                    .insert("REFERO_MCP_TOKEN".into(), "the-real-one".into());
            },
            "environment",
            "something else",
        ),
        (
            |s| {
                s.tried.insert(0, answer(401, "no"));
            },
            "probe",
            "401",
        ),
        (
            |s| {
                s.tried.insert(0, refusal(RefusalCode::SecretUnavailable));
            },
            "probe",
            "EGRESS_SECRET_UNAVAILABLE",
        ),
        (
            |s| {
                s.tried.insert(
                    0,
                    Tried {
                        exit: 7,
                        said: "refused".into(),
                        ..Tried::default()
                    },
                );
            },
            "probe",
            "no answer",
        ),
        (
            |s| {
                s.tried.insert(1, answer(200, "{}"));
            },
            "wrong_path",
            "status 200",
        ),
        (
            |s| {
                s.tried.insert(3, refusal(RefusalCode::UpstreamNotFound));
            },
            "other_host",
            "EGRESS_UPSTREAM_NOT_FOUND",
        ),
        (
            |s| {
                s.tried.insert(4, answer(301, ""));
            },
            "plain_http",
            "status 301",
        ),
        (
            |s| {
                s.tried.remove(&2);
            },
            "wrong_method",
            "in time",
        ),
    ];
    for (change, name, detail) in rows {
        let bad = without(change);
        assert_eq!(bad.len(), 1, "{name}: {bad:?}");
        assert_eq!(bad[0].0, name);
        assert!(bad[0].1.contains(detail), "{name}: {}", bad[0].1);
        assert!(!bad[0].1.contains("the-real-one"));
    }
}

#[test]
fn a_name_that_does_not_resolve_counts_as_refused() {
    let bound = [bound("refero/design-research", "REFERO_MCP_TOKEN")];
    let mut seen = good(&bound[0]);
    seen.tried.insert(
        3,
        Tried {
            exit: 6,
            ..Tried::default()
        },
    );
    assert!(failing(&bound, &seen).is_empty());
}

/// The script is run by a real shell with a `curl` that prints its arguments.
#[test]
fn the_script_sends_the_variable_where_the_definition_says() {
    let folder = tempfile::tempdir().unwrap();
    let curl = folder.path().join("curl");
    fs_err::write(&curl, "#!/bin/sh\nwhile [ $# -gt 0 ]; do [ \"$1\" = -o ] && { shift; o=$1; }; a=\"$a<$1>\"; shift; done\nprintf %s \"$a\" >\"$o\"\nprintf 200\n").unwrap();
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(&curl)
        .status()
        .unwrap();
    let bound = [
        bound("refero/design-research", "REFERO_MCP_TOKEN"),
        bound("github", "GH_TOKEN"),
    ];
    let checks = Checks {
        cwd: "/no such 'folder'".into(),
        program: Some("sh"),
        bound: &bound,
    };
    let script = text(&checks);
    assert!(
        !script.contains(&bound[0].row.placeholder),
        "the text holds no placeholder"
    );
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path)
        .env("REFERO_MCP_TOKEN", "ph one")
        .env("GH_TOKEN", "ph-two")
        .output()
        .unwrap();
    let seen = parse(&String::from_utf8_lossy(&output.stdout));
    assert!(!seen.cwd && seen.agent);
    assert_eq!(seen.env["REFERO_MCP_TOKEN"], "ph one");
    let requests: Vec<_> = seen
        .tried
        .values()
        .map(|t| (t.status, t.body.clone()))
        .collect();
    // GitHub's API takes every path and method, so there is no wrong one to try.
    assert_eq!(requests.len(), 5 + 3, "{output:?}");
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
    assert!(requests[4].1.ends_with("<http://api.refero.design/mcp>"));
    assert!(requests[5].1.contains("<-H><authorization: Bearer ph-two>"));
}

#[test]
fn only_a_code_of_the_brokers_own_list_is_one() {
    let tried = |code: &str| Tried {
        exit: 0,
        status: 403,
        body: serde_json::json!({"error": {"code": code, "message": "m"}}).to_string(),
        said: String::new(),
    };
    let known = RefusalCode::PathNotBound.as_str();
    assert_eq!(super::broker_code(&tried(known)).as_deref(), Some(known));
    assert_eq!(super::broker_code(&tried("EGRESS_\u{1b}[2J")), None);
}
