//! Help, version and completion work without a server or a key.

use crate::server::Cli;

#[test]
fn help_is_a_result_and_names_its_parts() {
    let cli = Cli::at("http://127.0.0.1:1");
    let outcome = cli.run(&["--help"]);
    assert_eq!(outcome.code, 0);
    for noun in [
        "sandbox",
        "connectors",
        "runs",
        "templates",
        "audit",
        "login",
        "whoami",
        "doctor",
    ] {
        assert!(outcome.stdout.contains(noun), "{noun}: {}", outcome.stdout);
    }
    for path in [
        &["sandbox", "create"][..],
        &["sandbox", "connectors", "attach"],
        &["sandbox", "prompt"],
        &["sandbox", "exec"],
        &["connectors", "create"],
    ] {
        let outcome = cli.run(&[path, &["--help"][..]].concat());
        assert_eq!(outcome.code, 0, "{path:?}");
        assert!(outcome.stdout.contains("Examples:"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("--json"), "{}", outcome.stdout);
    }
}

#[test]
fn version_has_three_spellings() {
    let cli = Cli::at("http://127.0.0.1:1");
    let expected = format!("miosa {}", env!("CARGO_PKG_VERSION"));
    for argument in ["-v", "--version", "version"] {
        let outcome = cli.run(&[argument]);
        assert_eq!(
            (outcome.code, outcome.stdout.trim()),
            (0, expected.as_str()),
            "{argument}"
        );
    }
}

#[test]
fn completion_scripts_are_what_their_shells_read() {
    let cli = Cli::at("http://127.0.0.1:1");
    for shell in ["bash", "zsh", "fish"] {
        let outcome = cli.run(&["completion", shell]);
        assert_eq!(outcome.code, 0);
        assert!(outcome.stdout.contains("connectors"), "{shell}");
    }
    let script = cli.run(&["completion", "bash"]).stdout;
    let path = cli.home.path().join("script");
    fs_err::write(&path, script).unwrap();
    let checked = std::process::Command::new("bash")
        .arg("-n")
        .arg(&path)
        .status()
        .unwrap();
    assert!(checked.success());
}

#[test]
fn the_shim_role_refuses_bad_usage() {
    let cli = Cli::at("http://127.0.0.1:1");
    assert_eq!(cli.run(&["shim"]).code, 1);
    assert_eq!(cli.run(&["shim", "a", "b"]).code, 1);
}
