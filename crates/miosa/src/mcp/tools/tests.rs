//! What the tools look like from outside.

use std::collections::BTreeSet;

use serde_json::Value;

use super::router;

/// Words that name a secret; a tool that had a field of this name would ask a model for one.
const SECRET_WORDS: [&str; 6] = [
    "secret",
    "token",
    "password",
    "api_key",
    "credential",
    "value",
];

#[test]
fn the_tools_are_those_that_are_documented() {
    let page = include_str!("../../../../../docs/mcp-server.md");
    let documented: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let tools = router().list_all();
    let names: BTreeSet<String> = tools.iter().map(|tool| tool.name.to_string()).collect();
    assert_eq!(names, documented);
    for tool in tools {
        let fields = Value::Object((*tool.input_schema).clone());
        let fields = fields["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        for (name, field) in fields {
            let words = field["description"].as_str().unwrap_or_default();
            assert!(!words.is_empty(), "{}: {name} is not described", tool.name);
            assert!(!words.contains('\n'), "{}: {name}: {words}", tool.name);
            let portable = field["type"].is_string() && field.get("format").is_none();
            assert!(portable, "{}: {name}: {field}", tool.name);
            assert!(
                !SECRET_WORDS.iter().any(|word| name.contains(word)),
                "{}: {name} asks for a secret",
                tool.name
            );
        }
    }
}

#[test]
fn every_tool_says_what_it_does_and_whether_it_only_looks() {
    for tool in router().list_all() {
        let words = tool.description.as_deref().unwrap_or_default();
        assert!(words.len() > 20, "{}: {words}", tool.name);
        let hints = tool.annotations.expect("hints");
        let looks = hints.read_only_hint == Some(true);
        assert!(looks || hints.destructive_hint.is_some(), "{}", tool.name);
        assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
    }
}

#[test]
fn what_only_something_is_refused_of_allows_the_rest() {
    use super::connector::narrowed;
    assert_eq!(narrowed(vec![], vec![], vec![]), None);
    let policy = narrowed(vec![], vec![], vec!["delete".to_owned()]).unwrap();
    assert_eq!(
        (policy.allow.tools, policy.deny.tools),
        (vec!["*".to_owned()], vec!["delete".to_owned()])
    );
    let policy = narrowed(vec!["read".to_owned()], vec![], vec![]).unwrap();
    assert_eq!(policy.allow.tools, ["read"]);
}
