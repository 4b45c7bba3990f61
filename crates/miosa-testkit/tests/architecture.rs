//! What `ARCHITECTURE.md` says of the code as a whole, held against the code: who may depend on
//! whom, and that every test it names exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Our crates, each with those of ours it may be built from. A new edge is a decision: write it here and in
/// the code map.
const EDGES: &[(&str, &[&str])] = &[
    (
        "miosa",
        &[
            "miosa-api",
            "miosa-client",
            "miosa-egress",
            "miosa-runtime",
            "miosa-selftest",
            "miosa-server",
            "miosa-vault",
        ],
    ),
    ("miosa-api", &[]),
    ("miosa-client", &["miosa-api"]),
    ("miosa-egress", &["miosa-api", "miosa-vault"]),
    ("miosa-guest", &["miosa-api"]),
    ("miosa-runtime", &["miosa-api"]),
    ("miosa-selftest", &[]),
    (
        "miosa-server",
        &["miosa-api", "miosa-runtime", "miosa-vault"],
    ),
    ("miosa-testkit", &["miosa-selftest"]),
    ("miosa-vault", &["miosa-api"]),
    ("xtask", &["miosa-testkit"]),
];
/// What tests alone may add. The broker is there to have its defences switched off.
const TEST_EDGES: &[(&str, &[&str])] = &[
    ("miosa", &["miosa-egress", "miosa-testkit"]),
    ("miosa-egress", &["miosa-egress"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs_err::read_to_string(path).expect("a file of the repository")
}

/// Every crate of the workspace with its manifest.
fn manifests() -> BTreeMap<String, toml::Table> {
    let crates = fs_err::read_dir(root().join("crates")).expect("the folder of crates");
    let folders = crates.map(|entry| entry.expect("an entry of the folder of crates").path());
    let parse = |folder: PathBuf| {
        let manifest: toml::Table = read(&folder.join("Cargo.toml"))
            .parse()
            .expect("a manifest that cargo reads");
        let name = manifest["package"]["name"].as_str().expect("a name");
        (name.to_owned(), manifest)
    };
    folders.chain([root().join("xtask")]).map(parse).collect()
}

/// Names of our crates in these tables of a manifest.
fn ours(manifest: &toml::Table, tables: &[&str]) -> BTreeSet<String> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let per_target = targets
        .into_iter()
        .flat_map(toml::Table::values)
        .filter_map(toml::Value::as_table);
    let places = std::iter::once(manifest).chain(per_target);
    places
        .flat_map(|place| {
            tables
                .iter()
                .filter_map(|table| place.get(*table)?.as_table())
        })
        .flat_map(toml::Table::keys)
        .filter(|name| name.starts_with("miosa") || *name == "xtask")
        .cloned()
        .collect()
}

fn allowed(edges: &[(&str, &[&str])], name: &str) -> BTreeSet<String> {
    let found = edges.iter().find(|(from, _)| *from == name);
    let to = found.map_or(&[][..], |(_, to)| to);
    to.iter().map(|&to| to.to_owned()).collect()
}

#[test]
fn crates_know_only_whom_they_may_know() {
    let manifests = manifests();
    let names: Vec<&str> = manifests.keys().map(String::as_str).collect();
    let listed: Vec<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, listed, "the crates of the workspace");
    for (name, manifest) in &manifests {
        let built_from = ours(manifest, &["dependencies", "build-dependencies"]);
        assert_eq!(built_from, allowed(EDGES, name), "{name} is built from");
        let tested_with = ours(manifest, &["dev-dependencies"]);
        assert_eq!(
            tested_with,
            allowed(TEST_EDGES, name),
            "{name} is tested with"
        );
    }
}

/// The server depends on the vault to seal; the half that opens is not for it.
#[test]
fn the_server_names_no_key_that_opens() {
    let mut sources = Vec::new();
    collect(&root().join("crates/miosa-server/src"), &mut sources);
    assert!(sources.iter().any(|path| path.ends_with("serve.rs")));
    for path in sources {
        let text = read(&path);
        assert!(!text.contains("OpeningKey"), "{}", path.display());
    }
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry of a folder of sources").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn every_test_the_architecture_names_exists() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let (_, rest) = text
        .split_once("## Invariants")
        .expect("a section on invariants");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let quoted = section.split('`').skip(1).step_by(2);
    let is_test = |name: &&str| {
        name.matches('_').count() >= 2
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let named: BTreeSet<&str> = quoted.filter(is_test).collect();
    assert!(named.len() > 40, "{} tests are named", named.len());

    let mut sources = Vec::new();
    collect(&root().join("crates"), &mut sources);
    let code: String = sources.iter().map(|path| read(path)).collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "no such test: {missing:?}");
}
