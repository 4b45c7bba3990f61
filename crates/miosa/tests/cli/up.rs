//! `miosa up`, for real: keys, settings, restart, `down`. Needs root and what sandboxes need.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a server may take to be ready or to end.
const PATIENCE: Duration = Duration::from_secs(60);

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("miosa-").tempdir_in("/tmp");
        Self(folder.unwrap())
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(".miosa").join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_miosa"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MIOSA_")) {
            command.env_remove(name);
        }
        command.args(arguments).env("HOME", self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code().unwrap_or(-1),
            text + &String::from_utf8_lossy(&output.stderr),
        )
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let (code, text) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn up(&self, arguments: &[&str]) -> Child {
        self.up_weakened(arguments, "")
    }

    fn up_weakened(&self, arguments: &[&str], weaken: &str) -> Child {
        let log = fs_err::File::create(self.0.path().join("log")).unwrap();
        let mut child = self
            .command(&["up", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("MIOSA_WEAKEN", weaken)
            .stdin(Stdio::null())
            .stdout(log.file().try_clone().unwrap())
            .stderr(log.into_parts().0)
            .spawn()
            .unwrap();
        wait_until("the server is ready", || {
            assert!(child.try_wait().unwrap().is_none(), "{}", self.log());
            self.log().contains("miosa is ready at")
        });
        child
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.0.path().join("log")).unwrap_or_default()
    }

    /// Programs on this machine that belong to this home.
    fn programs(&self) -> Vec<String> {
        let home = self.0.path().to_str().unwrap();
        let of = |path: &Path| fs_err::read(path.join("cmdline")).unwrap_or_default();
        fs_err::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| {
                Some(String::from_utf8_lossy(&of(&entry.ok()?.path())).replace('\0', " "))
            })
            .filter(|command| command.contains(home))
            .collect()
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o777
}

fn terminate(child: &mut Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn the_first_start_makes_everything_private_and_the_next_one_finds_it() {
    let home = Home::new();
    let mut server = home.up(&[
        "--static-host",
        "a.example:443=127.0.0.1:9",
        "--allow-range",
        "127.0.0.1/32",
    ]);
    assert_eq!(home.json(&["whoami", "--json"])["authenticated"], true);
    for name in ["config.json", "server.toml", "keys/opening.key"] {
        assert_eq!(mode(&home.file(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&home.file("keys")), 0o700);
    let key = fs_err::read_to_string(home.file("config.json")).unwrap();
    let key: Value = serde_json::from_str(&key).unwrap();
    let key = key["api_key"].as_str().unwrap().to_owned();
    assert!(!home.log().contains(&key), "the key was printed");
    let (code, text) = home.run(&["up", "--json"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("CLI_ALREADY_UP"), "{text}");
    terminate(&mut server);

    let sealing = fs_err::read(home.file("keys/sealing.pub")).unwrap();
    let mut server = home.up(&["--ephemeral"]);
    assert_eq!(home.json(&["whoami", "--json"])["authenticated"], true);
    let again = fs_err::read_to_string(home.file("config.json")).unwrap();
    assert!(again.contains(&key), "another key was made");
    assert_eq!(
        fs_err::read(home.file("keys/sealing.pub")).unwrap(),
        sealing
    );
    let settings = fs_err::read_to_string(home.file("server.toml")).unwrap();
    assert!(
        settings.contains("a.example:443") && settings.contains("127.0.0.1/32"),
        "{settings}"
    );
    terminate(&mut server);
    wait_until("nothing is left", || home.programs().is_empty());
}

#[test]
fn a_broker_without_a_defence_is_not_called_safe() {
    for (weaken, code) in [("", 0), ("redact-body,authority", 1)] {
        let home = Home::new();
        let mut server = home.up_weakened(&["--ephemeral"], weaken);
        let (ended, text) = home.run(&["doctor"]);
        assert_eq!(ended, code, "{text}");
        let warns = text.contains("NOT SAFE") && text.contains("redact-body");
        assert_eq!(warns, code != 0, "{text}");
        terminate(&mut server);
    }
}

#[test]
fn down_ends_server_and_broker() {
    let home = Home::new();
    let mut server = home.up(&[]);
    wait_until("the broker runs", || {
        home.programs()
            .iter()
            .any(|command| command.contains(" egress "))
    });
    let ended = home.json(&["down", "--json"]);
    assert_eq!(ended["server"], true);
    assert_eq!(ended["broker"], true);
    assert!(server.wait().unwrap().success());
    wait_until("nothing is left", || home.programs().is_empty());
    let ended = home.json(&["down", "--json"]);
    assert_eq!(
        (&ended["server"], &ended["broker"]),
        (&false.into(), &false.into())
    );
}

#[test]
fn a_lost_opening_key_is_not_replaced_in_silence() {
    let home = Home::new();
    let mut server = home.up(&["--ephemeral"]);
    terminate(&mut server);
    fs_err::remove_file(home.file("keys/opening.key")).unwrap();
    let (code, text) = home.run(&["up", "--json"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("CLI_KEY_MISSING"), "{text}");
    assert!(!home.file("keys/opening.key").exists());
}

#[test]
fn a_user_without_root_is_told_what_is_missing() {
    let home = Home::new();
    fs_err::set_permissions(home.0.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // The test's own target folder may be closed to others.
    let program = home.0.path().join("miosa");
    fs_err::copy(env!("CARGO_BIN_EXE_miosa"), &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["up", "--json"])
        .env("HOME", home.0.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text.contains("RUNTIME_UNAVAILABLE") && text.contains("sudo"),
        "{text}"
    );
}

#[test]
fn operators_keys_are_made_on_the_server() {
    let home = Home::new();
    let at = |name: &str| home.0.path().join(name).to_str().unwrap().to_owned();
    let (opening, sealing) = (at("opening.key"), at("sealing.pub"));
    let arguments = [
        "keys",
        "generate",
        "--opening",
        &opening,
        "--sealing",
        &sealing,
        "--json",
    ];
    home.json(&arguments);
    assert_eq!(mode(Path::new(&opening)), 0o600);
    assert_eq!(
        home.run(&arguments).0,
        1,
        "an existing pair was overwritten"
    );
    let config = at("server.toml");
    let text = format!(
        "data_dir = '{}'\nrun_dir = '{}'\nsealing_key = '{sealing}'\n[egress]\nopening_key = '{opening}'\n",
        at("data"),
        at("run")
    );
    fs_err::write(&config, text).unwrap();
    let made = home.json(&[
        "keys", "create", "--config", &config, "--for", "acme", "--json",
    ]);
    assert!(made["key"].as_str().unwrap().starts_with("msk_"), "{made}");
    fs_err::write(&config, "listne = 1").unwrap();
    let (code, text) = home.run(&["server", "--config", &config, "--json"]);
    assert_eq!(code, 1);
    assert!(text.contains("CLI_CONFIG_ERROR"), "{text}");
}
