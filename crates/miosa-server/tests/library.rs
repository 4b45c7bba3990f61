//! Every shipped definition, and the page on it: the pages in `docs/connectors/` are made from the files in
//! `connectors/` (run this test with `MIOSA_BLESS=1` to make them anew).

#![expect(
    clippy::unwrap_used,
    reason = "tests are tables, and a step that fails is the test's failure"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use miosa_api::broker::{AwsScope, Place};
use miosa_server::connectors::overlap::{bindings_overlap, endpoint_matches};
use miosa_server::connectors::{Catalog, Definition, Fault};

/// Definitions without a probe; each file says why.
const WITHOUT_PROBE: [&str; 5] = ["aws", "confluence", "jira", "pypi", "slack"];
/// Parts of paths that answer with fresh credentials, at any provider.
const MINTING: [&str; 9] = [
    "oauth",
    "access_tokens",
    "auth_tokens",
    "ephemeral_keys",
    "api-keys",
    "upload-token",
    "login-role",
    "xet-read-token",
    "xet-write-token",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

/// Stem, text and definition of every file, in order.
fn files() -> Vec<(String, String, Definition)> {
    let mut all = Vec::new();
    for entry in fs_err::read_dir(folder("connectors")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs_err::read_to_string(&path).unwrap();
        let definition = Fault::check(&text).unwrap_or_else(|fault| panic!("{stem}: {fault:?}"));
        all.push((stem, text, definition));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn every_file_is_shipped_under_the_name_of_its_provider() {
    let shipped = Catalog::load(None).unwrap();
    let files = files();
    let keys: BTreeSet<&str> = files.iter().map(|(_, _, d)| d.key()).collect();
    assert_eq!(
        shipped.all().map(Definition::key).collect::<BTreeSet<_>>(),
        keys
    );
    for (stem, text, definition) in &files {
        assert_eq!(*stem, definition.key().replace('/', "-"));
        assert!(text.starts_with("# "), "{stem}: a sentence on top");
        assert!(definition.docs.is_some(), "{stem}: where to read about it");
    }
}

#[test]
fn a_probe_is_at_an_endpoint_of_its_own_and_its_absence_is_meant() {
    for (stem, _, definition) in files() {
        let Some(probe) = &definition.probe else {
            assert!(WITHOUT_PROBE.contains(&stem.as_str()), "{stem}: no probe");
            continue;
        };
        assert!(!WITHOUT_PROBE.contains(&stem.as_str()), "{stem}: a probe");
        let url = url::Url::parse(&probe.url).unwrap();
        let host = url.host_str().unwrap();
        let at = |e| endpoint_matches(e, host, 443, &probe.method, url.path());
        assert!(definition.endpoints.iter().any(at), "{stem}");
        let harmless = probe.method == "GET" || probe.body.is_some();
        assert!(harmless, "{stem}: {} without a body", probe.method);
    }
}

#[test]
fn names_that_meet_in_one_sandbox_are_of_one_definition() {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (stem, _, definition) in files() {
        let shape = Some(definition.placeholder_prefix.clone()).filter(|p| !p.is_empty());
        let names = [
            shape.map(|p| format!("shape {p}")),
            Some(format!("variable {}", definition.default_env_name)),
            definition.mcp.as_ref().map(|m| format!("MCP {}", m.name)),
        ];
        for name in names.into_iter().flatten() {
            let other = seen.insert(name.clone(), stem.clone());
            assert_eq!(other, None, "{name} of {stem} too");
        }
    }
}

#[test]
fn any_two_can_be_in_one_sandbox() {
    let files = files();
    for (index, (stem, _, ours)) in files.iter().enumerate() {
        for (other, _, theirs) in &files[index + 1..] {
            let overlap = bindings_overlap(
                (&ours.endpoints, &ours.places),
                (&theirs.endpoints, &theirs.places),
            );
            assert!(!overlap, "{stem} and {other}");
        }
    }
}

#[test]
fn no_endpoint_is_known_to_answer_with_fresh_credentials() {
    for (stem, _, definition) in files() {
        for endpoint in &definition.endpoints {
            let all = endpoint.path == "/**";
            assert!(!all || stem == "github", "{stem}: a whole host");
            let minting = endpoint.path.split('/').any(|s| MINTING.contains(&s));
            assert!(!minting, "{stem}: {}", endpoint.path);
        }
    }
}

fn page(text: &str, definition: &Definition) -> String {
    let mut page = format!("# {}\n\n", definition.display_name);
    for line in text.lines().map_while(|line| line.strip_prefix('#')) {
        page += line.trim_start();
        page.push('\n');
    }
    page += "\n| | |\n|---|---|\n";
    let mut row = |name: &str, value: &str| writeln!(page, "| {name} | {value} |").unwrap();
    row("definition", &format!("`{}`", definition.key()));
    row("type", &format!("`{}`", definition.kind()));
    row("variable", &format!("`{}`", definition.default_env_name));
    for name in &definition.more_env_names {
        row("which also stands in", &format!("`{name}`"));
    }
    if !definition.placeholder_prefix.is_empty() {
        row(
            "placeholders begin with",
            &format!("`{}`", definition.placeholder_prefix),
        );
    }
    for place in &definition.places {
        row("place", &place_text(place));
    }
    if let Some(server) = &definition.mcp {
        row(
            "MCP server",
            &format!("`{}` at `{}`", server.name, server.url),
        );
    }
    let probe = definition.probe.as_ref();
    let probe = probe.map_or("none".to_owned(), |p| format!("`{} {}`", p.method, p.url));
    row("probe", &probe);
    row(
        "provider's documentation",
        definition.docs.as_deref().unwrap_or("none"),
    );
    page += &commands(definition);
    page += "## Where it may go\n\n| host | path | methods |\n|---|---|---|\n";
    for endpoint in &definition.endpoints {
        let methods = endpoint.methods.join(", ");
        writeln!(
            page,
            "| {} | `{}` | {methods} |",
            endpoint.host, endpoint.path
        )
        .unwrap();
    }
    page
}

fn place_text(place: &Place) -> String {
    match place {
        Place::Header { name, prefix } => format!("header `{name}: {prefix}<token>`"),
        Place::Basic => "`Authorization: Basic`, the token as password or user name".to_owned(),
        Place::Query { name } => format!("query `{name}=<token>`"),
        Place::AwsHeader(scope) => format!("AWS signature in the header, {}", scope_text(scope)),
        Place::AwsQuery(scope) => format!("AWS signature in the query, {}", scope_text(scope)),
    }
}

fn scope_text(scope: &AwsScope) -> String {
    let (services, regions) = (scope.services.join(", "), scope.regions.join(", "));
    format!("for services {services} in regions {regions}")
}

fn commands(definition: &Definition) -> String {
    let (store, uid) = if definition.managed {
        let uid = definition.key().to_owned();
        (format!("miosa admin connectors set {uid} --stdin"), uid)
    } else {
        let provider = &definition.provider;
        let store = format!("miosa connectors create {provider} --stdin");
        (store, format!("{provider}/default"))
    };
    let env = &definition.default_env_name;
    let value = match definition.signs() {
        true => "aws configure export-credentials | jq -c .".to_owned(),
        false => format!("printf %s \"${env}\""),
    };
    format!(
        "\n```sh\n{value} | {store}\nmiosa sandbox connectors attach <id> {uid} --env {env}\n\
         miosa sandbox connectors preflight <id>\n```\n\n"
    )
}

#[test]
fn the_pages_are_those_of_the_definitions() {
    let bless = std::env::var_os("MIOSA_BLESS").is_some_and(|value| value == "1");
    let mut expected = BTreeSet::new();
    for (stem, text, definition) in files() {
        let path = folder("docs/connectors").join(format!("{stem}.md"));
        let page = page(&text, &definition);
        if bless {
            fs_err::create_dir_all(folder("docs/connectors")).unwrap();
            fs_err::write(&path, &page).unwrap();
        }
        let stored = fs_err::read_to_string(&path).unwrap_or_default();
        assert!(
            stored == page,
            "{stem}.md is stale: run this test with MIOSA_BLESS=1"
        );
        expected.insert(format!("{stem}.md"));
    }
    let there = fs_err::read_dir(folder("docs/connectors")).unwrap();
    let name = |entry: std::io::Result<fs_err::DirEntry>| entry.unwrap().file_name().into_string();
    let there: BTreeSet<String> = there.map(|entry| name(entry).unwrap()).collect();
    assert_eq!(there, expected);
}
