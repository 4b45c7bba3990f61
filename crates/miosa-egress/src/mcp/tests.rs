use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use miosa_api::limits::{MCP_DEPTH_MAX, MCP_HELD_BYTES_MAX, MCP_SESSIONS_PER_SANDBOX_MAX};
use miosa_api::mcp::McpPolicy;
use serde_json::{Value, json};

use super::answer::Filter;
use super::content_type::{self, Kind};
use super::decide::{asked_about, decide, tool_rule};
use super::held::Held;
use super::json::parse;
use super::message::Inspected;
use super::session::State;
use crate::refusal::RpcAnswer;

fn policy(value: Value) -> McpPolicy {
    let policy: McpPolicy = serde_json::from_value(value).expect("a policy");
    assert_eq!(policy.fault(), None);
    policy
}

fn inspected(value: &Value) -> Option<Inspected> {
    Inspected::parse(Bytes::from(value.to_string()))
}

/// The rule that refuses, if one does.
fn refused(policies: &[McpPolicy], value: &Value) -> Option<String> {
    let inspected = inspected(value).expect("readable");
    decide(policies, inspected.messages())
        .err()
        .map(|denied| denied.rule)
}

fn request(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn call(name: &str, arguments: Value) -> Value {
    request("tools/call", json!({"name": name, "arguments": arguments}))
}

#[test]
fn row_167_what_has_two_readings_is_none() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    for text in [
        r#"{"a":1,"a":2}"#.to_owned(),
        r#"{"a":1,"\u0061":2}"#.to_owned(),
        r#"{"name":1,"NAME":2}"#.to_owned(),
        r#"{"params":1,"paramſ":2}"#.to_owned(),
        r#"{"token":1,"toKen":2}"#.to_owned(),
        r#"{"x":{"a":1,"a":2}}"#.to_owned(),
        "\u{feff}{}".to_owned(),
        "{}{}".to_owned(),
        "{} x".to_owned(),
        "{}\0".to_owned(),
        r#"{"a":1,}"#.to_owned(),
        r#"{'a':1}"#.to_owned(),
        r#"{"a":NaN}"#.to_owned(),
        r#"{"a":1e999}"#.to_owned(),
        r#"{"a":"\ud800"}"#.to_owned(),
        "// x\n{}".to_owned(),
        String::new(),
        deep(MCP_DEPTH_MAX + 1),
    ] {
        assert_eq!(parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(parse(b"{\"a\":\"\xff\"}"), None);
    assert_eq!(parse(&[0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]), None);
    assert!(parse(deep(MCP_DEPTH_MAX).as_bytes()).is_some());
    assert!(parse(" {\"a\": [1, -2, 1.5, true, null, \"\\u0061\"]}\r\n".as_bytes()).is_some());
}

#[test]
fn row_167_only_the_protocols_own_keys_are_messages() {
    for value in [
        json!([]),
        json!("x"),
        json!({"id": 1, "method": "ping"}),
        json!({"jsonrpc": "2.0"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "Params": {}}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}, "METHOD": "tools/call"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}),
        json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": [1], "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "result": {}}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {}}),
        json!([[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]]),
    ] {
        assert!(inspected(&value).is_none(), "{value}");
    }
}

#[test]
fn row_165_deny_beats_allow_and_each_policy_must_allow() {
    let wide = policy(json!({"allow": {"tools": ["*"]}, "deny": {"tools": ["delete_*"]}}));
    let narrow = policy(json!({"allow": {"tools": ["get_*"]}}));
    let both = [wide.clone(), narrow.clone()];
    assert_eq!(refused(&both, &call("get_issue", json!({}))), None);
    let by = |policies: &[McpPolicy], name| refused(policies, &call(name, json!({})));
    assert_eq!(
        by(&[wide.clone()], "delete_repo").as_deref(),
        Some("mcp:deny.tools")
    );
    assert_eq!(by(&both, "put_issue").as_deref(), Some("mcp:allow.tools"));
    assert_eq!(
        by(&[narrow], "GET_issue").as_deref(),
        Some("mcp:allow.tools")
    );
    for params in [
        json!({}),
        json!({"name": ["get_x"]}),
        json!({"NAME": "get_x"}),
    ] {
        let value = request("tools/call", params);
        assert!(refused(&both, &value).is_some(), "{value}");
    }
    assert!(!tool_rule(&both, "delete_repo").allowed);
    assert!(tool_rule(&both, "get_x").allowed);
    assert_eq!(tool_rule(&[], "get_x").rule, "no-policy");
}

#[test]
fn row_166_one_message_refuses_the_batch() {
    let policies = [policy(json!({"allow": {"tools": ["ok"]}}))];
    let batch = |name| json!([call("ok", json!({})), call(name, json!({}))]);
    assert_eq!(refused(&policies, &batch("ok")), None);
    assert!(refused(&policies, &batch("bad")).is_some());
}

#[test]
fn row_169_conditions_compare_types_and_want_the_argument() {
    let policies = [policy(json!({
        "allow": {"tools": ["*"]},
        "arguments": [
            {"tool": "issue_*", "pointer": "/repo/id", "one_of": ["x", 1, true]},
            {"tool": "issue_get", "pointer": "/kind", "one_of": ["bug"]},
        ],
    }))];
    let get = |id: Value| {
        refused(
            &policies,
            &call("issue_get", json!({"repo": {"id": id}, "kind": "bug"})),
        )
    };
    for good in [json!("x"), json!(1), json!(true)] {
        assert_eq!(get(good), None);
    }
    for bad in [
        json!(["x"]),
        json!("1"),
        json!(1.0),
        json!(null),
        json!("true"),
        json!({"x": 1}),
        json!("X"),
    ] {
        assert_eq!(get(bad.clone()).as_deref(), Some("mcp:arguments"), "{bad}");
    }
    for bad in [
        json!({}),
        json!({"repo": "x", "kind": "bug"}),
        json!({"repo": {"id": "x"}}),
        json!({"/repo/id": "x"}),
    ] {
        assert!(refused(&policies, &call("issue_get", bad)).is_some());
    }
    assert!(
        refused(
            &policies,
            &request("tools/call", json!({"name": "issue_get"}))
        )
        .is_some()
    );
    assert_eq!(refused(&policies, &call("other", json!({}))), None);
}

#[test]
fn row_171_what_no_session_needs_is_refused_unless_listed() {
    let none = [policy(json!({}))];
    for method in [
        "initialize",
        "ping",
        "tools/list",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
    ] {
        assert_eq!(
            refused(&none, &request(method, json!({}))),
            None,
            "{method}"
        );
    }
    let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(refused(&none, &told), None);
    let read = request("resources/read", json!({"uri": "docs://a"}));
    let prompt = request("prompts/get", json!({"name": "p"}));
    let complete = request("completion/complete", json!({}));
    let answered = json!({"jsonrpc": "2.0", "id": 1, "result": {"action": "accept"}});
    for value in [
        &read,
        &prompt,
        &complete,
        &answered,
        &request("Tools/Call", json!({"name": "x"})),
        &request("x/y", json!({})),
    ] {
        assert!(refused(&none, value).is_some(), "{value}");
    }
    let listed = [policy(json!({"allow": {
        "methods": ["completion/*", "elicitation/create"], "resources": ["docs://*"], "prompts": ["p"]}}))];
    for value in [&read, &prompt, &complete, &answered] {
        assert_eq!(refused(&listed, value), None, "{value}");
    }
    let other = request("resources/read", json!({"uri": "file:///etc/passwd"}));
    assert!(refused(&listed, &other).is_some());
    let heard = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    assert_eq!(refused(&none, &heard), None);
}

#[test]
fn row_168_only_plain_json_is_json() {
    let kind = |values: &[&'static str], encoding: &'static str| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("content-type", HeaderValue::from_static(value));
        }
        if !encoding.is_empty() {
            headers.insert("content-encoding", HeaderValue::from_static(encoding));
        }
        content_type::kind(&headers)
    };
    for good in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON;charset=\"UTF-8\"",
    ] {
        assert_eq!(kind(&[good], ""), Some(Kind::Json), "{good}");
    }
    assert_eq!(kind(&["text/event-stream"], "identity"), Some(Kind::Events));
    for bad in [
        "text/plain",
        "application/json; charset=utf-16",
        "application/json-rpc",
        "application/json; charset=utf-8; x=y",
        "",
    ] {
        assert_eq!(kind(&[bad], ""), None, "{bad}");
    }
    assert_eq!(kind(&[], ""), None);
    assert_eq!(kind(&["application/json", "application/json"], ""), None);
    assert_eq!(kind(&["application/json"], "gzip"), None);
}

fn filter(kind: Kind) -> Filter {
    let policies = Arc::from([policy(
        json!({"allow": {"tools": ["ok"], "resources": ["docs://*"]}}),
    )]);
    let answer = RpcAnswer::to(vec![json!(7)], false);
    Filter::new(
        kind,
        policies,
        answer,
        Held::new(Arc::new(AtomicUsize::new(0))),
    )
}

/// What comes out of a filter, cut into pieces of `size`.
fn filtered(kind: Kind, text: &str, size: usize) -> String {
    let mut filter = filter(kind);
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(size) {
        out.extend_from_slice(&filter.push(piece));
    }
    out.extend_from_slice(&filter.finish());
    String::from_utf8(out).expect("text")
}

fn tools() -> String {
    json!({"jsonrpc": "2.0", "id": 7, "result": {
        "tools": [{"name": "ok"}, {"name": "secret"}, {"nameless": 1}],
        "resources": [{"uri": "docs://a"}, {"uri": "secret://b"}],
        "resourceTemplates": [{"uriTemplate": "docs://{x}"}, {"uriTemplate": "secret://{x}"}],
        "prompts": [{"name": "secret"}],
        "nextCursor": "c"}})
    .to_string()
}

#[test]
fn row_170_lists_show_what_may_be_used_however_they_come() {
    let events = format!(
        "id: 1\r\nevent: message\r\ndata: {}\r\n\r\n: beat\n\nid: 2\ndata:\n\n",
        tools()
    );
    for size in [1, 7, 4096] {
        let json = filtered(Kind::Json, &tools(), size);
        let stream = filtered(Kind::Events, &events, size);
        for text in [&json, &stream] {
            assert!(
                !text.contains("secret") && !text.contains("nameless"),
                "{text}"
            );
            assert!(
                text.contains("\"ok\"") && text.contains("nextCursor"),
                "{text}"
            );
        }
        assert!(
            stream.starts_with("id: 1\nevent: message\ndata: {"),
            "{stream}"
        );
        assert!(stream.ends_with(": beat\n\nid: 2\ndata:\n\n"), "{stream}");
    }
    let same = r#"{"jsonrpc":"2.0", "id":7,"result":{"tools":[{"name":"ok"}]}}"#;
    assert_eq!(filtered(Kind::Json, same, 5), same);
    assert_eq!(filtered(Kind::Json, "", 1), "");
}

#[test]
fn row_170_a_list_nobody_can_read_does_not_pass() {
    let twice = r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[],"tools":[{"name":"secret"}]}}"#;
    for (kind, text) in [
        (Kind::Json, twice.to_owned()),
        (Kind::Json, "<html>secret".to_owned()),
        (Kind::Events, format!("data: {twice}\n\n")),
        (Kind::Events, "data: {\"secret\"\rdata: :1}\n\n".to_owned()),
        (Kind::Events, format!("\u{feff}data: {}\n\n", tools())),
    ] {
        let out = filtered(kind, &text, 3);
        assert!(
            out.contains("EGRESS_RESPONSE_NOT_INSPECTABLE"),
            "{text} {out}"
        );
        assert!(
            out.contains("\"id\":7") && !out.contains("secret"),
            "{text} {out}"
        );
    }
    // An event that does not end is none.
    assert_eq!(filtered(Kind::Events, "data: {\"secret\":1}\n", 3), "");
}

#[test]
fn what_is_held_is_bounded_and_given_back() {
    let all = Arc::new(AtomicUsize::new(0));
    let mut one = Held::new(Arc::clone(&all));
    assert!(one.grow(MCP_HELD_BYTES_MAX));
    let mut two = Held::new(Arc::clone(&all));
    assert!(!two.grow(1));
    drop((one, two));
    assert!(Held::new(all).grow(MCP_HELD_BYTES_MAX));
}

#[test]
fn row_172_a_session_is_its_bindings_and_the_oldest_gives_way() {
    let state = State::default();
    state.begin("b1", "s");
    assert!(state.knows("b1", "s") && !state.knows("b2", "s") && !state.knows("b1", "t"));
    state.end("b1", "s");
    assert!(!state.knows("b1", "s"));
    for number in 0..=MCP_SESSIONS_PER_SANDBOX_MAX {
        state.begin("b1", &number.to_string());
    }
    assert!(!state.knows("b1", "0") && state.knows("b1", "1"));
}

#[test]
fn deny_beats_ask_and_ask_beats_allow() {
    let policy = policy(json!({
        "allow": {"tools": ["get_*", "merge"], "methods": ["completion/complete"]},
        "ask": {"tools": ["merge", "delete_*"], "resources": ["docs://*"], "methods": ["logging/*"]},
        "deny": {"tools": ["delete_all"]},
    }));
    let asks = |value: Value| {
        let read = inspected(&value).expect("readable");
        let policies = [policy.clone()];
        decide(&policies, read.messages()).ok()?;
        Some(!asked_about(&policies, read.messages()).is_empty())
    };
    let called = |name| asks(call(name, json!({})));
    assert_eq!(called("get_issue"), Some(false));
    assert_eq!(called("merge"), Some(true));
    assert_eq!(called("delete_one"), Some(true));
    assert_eq!(called("delete_all"), None);
    assert_eq!(called("other"), None);
    assert_eq!(
        asks(request("resources/read", json!({"uri": "docs://a"}))),
        Some(true)
    );
    assert_eq!(
        asks(request("logging/setLevel", json!({"level": "debug"}))),
        Some(true)
    );
    assert_eq!(asks(request("completion/complete", json!({}))), Some(false));
    assert_eq!(asks(request("tools/list", json!({}))), Some(false));
    let batch = json!([call("get_issue", json!({})), call("merge", json!({}))]);
    assert_eq!(asks(batch), Some(true));
    assert_eq!(tool_rule(&[policy], "delete_one").rule, "mcp:ask.tools");
}

#[test]
fn an_approval_is_about_every_word_but_what_changes_from_try_to_try() {
    let whole = |value: Value| inspected(&value).expect("readable").messages()[0].without_id();
    let with = |id: u32, token: u32, path: &str| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "merge",
            "arguments": {"path": path}, "_meta": {"progressToken": token, "trace": "t"}}})
    };
    assert_eq!(whole(with(1, 1, "a")), whole(with(2, 9, "a")));
    assert_ne!(whole(with(1, 1, "a")), whole(with(1, 1, "b")));
    let mut other = with(1, 1, "a");
    other["params"]["_meta"]["trace"] = "u".into();
    assert_ne!(whole(with(1, 1, "a")), whole(other));
}
