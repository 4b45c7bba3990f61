//! Builds the guest agent, a static binary, for [`guest_binary`](src/guest_binary.rs) to embed.
//!
//! Cargo has no stable way for one crate to need the binary of another, so this calls cargo. The
//! inner build has a target folder of its own, because the outer one is locked meanwhile, and is
//! told nothing of the outer build, so that `check`, `clippy` and `test` share one agent.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROFILE: &str = "guest";
const PACKAGE: &str = "miosa-guest";
/// Variables by which the outer cargo speaks to build scripts and compilers of its own build.
const OUTER: [&str; 4] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
];
/// Beginnings of more of them.
const OUTER_PREFIXES: [&str; 8] = [
    "CARGO_BIN_",
    "CARGO_BUILD_",
    "CARGO_CFG_",
    "CARGO_ENCODED_",
    "CARGO_FEATURE_",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PROFILE_",
];

fn main() {
    let crates = variable("CARGO_MANIFEST_DIR");
    let workspace = Path::new(&crates)
        .join("../..")
        .canonicalize()
        .expect("the crate is in it");
    for input in [
        "crates/miosa-guest/src",
        "crates/miosa-guest/Cargo.toml",
        "crates/miosa-api",
    ] {
        println!(
            "cargo::rerun-if-changed={}",
            workspace.join(input).display()
        );
    }
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    println!("cargo::rerun-if-changed=build.rs");

    let built = build(&workspace);
    // A copy: another build with the same target folder may replace the original at any time.
    let binary = Path::new(&variable("OUT_DIR")).join(PACKAGE);
    fs::copy(&built, &binary).expect("cargo has just built it");
    println!("cargo::rustc-env=MIOSA_GUEST_BINARY={}", binary.display());
}

/// Runs cargo; where the binary is.
fn build(workspace: &Path) -> PathBuf {
    let target = variable("TARGET").into_string().expect("a triple is ASCII");
    let folder = env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), |dir| workspace.join(dir))
        .join("guest");
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(workspace);
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_the_outer_build(name)) {
        cargo.env_remove(name);
    }
    cargo
        .args([
            "build",
            "--locked",
            "--package",
            PACKAGE,
            "--profile",
            PROFILE,
        ])
        .args(["--target", &target])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    let status = cargo.status().expect("cargo runs, it called this");
    assert!(
        status.success(),
        "the guest agent could not be built: {cargo:?}"
    );
    folder.join(target).join(PROFILE).join(PACKAGE)
}

fn is_of_the_outer_build(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| {
        OUTER.contains(&name) || OUTER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}
