//! The pages on settings, connectors and templates show what the program reads.

use std::collections::BTreeSet;
use std::path::Path;

use miosa_api::template::{BuildSpec, BuildStep};
use miosa_server::Config;
use miosa_server::connectors::definitions;
use miosa_server::templates::definition;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    fs_err::read_to_string(path).expect("a page")
}

/// The first block of TOML of a page.
fn block(text: &str) -> &str {
    let (_, rest) = text.split_once("```toml\n").expect("a block of TOML");
    rest.split("```").next().unwrap_or(rest)
}

/// Every key of a table and of the tables in it.
fn keys(table: &toml::Table) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = table.keys().cloned().collect();
    for inner in table.values().filter_map(toml::Value::as_table) {
        found.extend(inner.keys().cloned());
    }
    found
}

#[test]
fn the_settings_shown_are_read_and_are_all_there_are() {
    let text = page("operators.md");
    let shown: String = block(&text)
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n")
        .collect();
    let config: Config = toml::from_str(&shown).expect("settings the server takes");
    let read = toml::Table::try_from(&config).expect("settings are a table");
    let shown: toml::Table = shown.parse().expect("TOML");
    assert_eq!(keys(&shown), keys(&read));
}

#[test]
fn the_connector_shown_is_a_definition() {
    let text = page("connectors.md");
    let definition = definitions::parse(block(&text)).expect("a definition");
    assert!(definition.probe.is_some() && definition.mcp.is_some());
}

#[test]
fn the_template_shown_is_a_definition_and_every_field_is_described() {
    let text = page("templates.md");
    definition::parse("templates.md", block(&text)).expect("a definition");
    let spec = BuildSpec {
        steps: vec![BuildStep { run: String::new() }],
        ..BuildSpec::default()
    };
    let fields = serde_json::to_value(spec).expect("a specification is JSON");
    for field in fields.as_object().expect("an object").keys() {
        assert!(text.contains(&format!("| `{field}` |")), "{field}");
    }
}
