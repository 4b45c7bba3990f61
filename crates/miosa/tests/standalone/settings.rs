//! Settings that no broker starts with.

use std::os::unix::fs::PermissionsExt;

use crate::world::miosa;

/// Starts with `text` in a folder with keys, and gives what it says when it ends by itself.
fn refused(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let made = miosa()
        .args(["keys", "generate", "--opening"])
        .arg(path("opening.key"))
        .arg("--sealing")
        .arg(path("sealing.pub"))
        .output();
    assert!(made.unwrap().status.success());
    let value = path("value");
    fs_err::write(&value, "a-value-of-some-length").unwrap();
    fs_err::set_permissions(&value, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = text.replace("DIR", &dir.path().display().to_string());
    fs_err::write(path("egress.toml"), text).unwrap();
    let output = miosa()
        .args(["egress", "--standalone", "--config"])
        .arg(path("egress.toml"))
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_broker_without_valid_settings_does_not_start() {
    let head = "opening_key = 'DIR/opening.key'\naudit_file = 'DIR/audit.jsonl'\nclient_dir = 'DIR/clients'\n";
    let listener = format!("{head}[[listeners]]\nname = 'a'\nlisten = 'unix:DIR/a.sock'\n");
    let binding = "[[listeners.bindings]]\nconnector = 'github'\n";
    for (text, expected) in [
        (head.to_owned(), "listeners"),
        (
            listener.replace("a.sock'", "a.sock'\nmode = 'none'"),
            "unknown variant",
        ),
        (
            format!("{listener}{binding}"),
            "either `value_file` or `value_env`",
        ),
        (format!("{listener}{binding}value = 'x'\n"), "unknown field"),
        (
            format!(
                "{listener}{binding}value_file = 'DIR/value'\n{binding}value_file = 'DIR/value'\n"
            ),
            "two bindings",
        ),
        (
            format!(
                "{listener}{binding}value_file = 'DIR/value'\n{binding}value_file = 'DIR/value'\nenv = 'OTHER'\n"
            ),
            "same requests",
        ),
        (
            listener.replace("opening.key", "sealing.pub"),
            "opening key",
        ),
    ] {
        let said = refused(&text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}
