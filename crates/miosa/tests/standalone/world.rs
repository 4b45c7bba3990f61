//! A broker with two listeners, and programs that call it as a user who can read nothing of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use miosa_selftest::stand::{ALLOWED, ATTACKER, Seen, Stand};
use tempfile::TempDir;

/// The real credential. No client may ever see it.
pub const CANARY: &str = "canary-9d2f6c41b8e7405aa3";
/// Who the clients are.
const NOBODY: &str = "65534";
/// How long anything awaited may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything around a running broker.
pub struct World {
    pub stand: Stand,
    pub dir: TempDir,
    child: Child,
    log: Receiver<String>,
    read: Vec<String>,
}

impl World {
    /// Starts all of it, and waits until both listeners are there.
    pub async fn start() -> Self {
        Self::without("").await
    }

    /// The same with a defence of the broker switched off.
    pub async fn without(defence: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("miosa-").tempdir_in("/tmp");
        let dir = dir.unwrap();
        fs_err::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let stand = Stand::start(dir.path()).await.unwrap();
        let value = dir.path().join("value");
        fs_err::write(&value, format!("{CANARY}\n")).unwrap();
        fs_err::set_permissions(&value, std::fs::Permissions::from_mode(0o600)).unwrap();
        let keys = [
            dir.path().join("opening.key"),
            dir.path().join("sealing.pub"),
        ];
        let made = miosa()
            .args(["keys", "generate", "--opening"])
            .arg(&keys[0])
            .arg("--sealing")
            .arg(&keys[1])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        fs_err::write(dir.path().join("egress.toml"), settings(&stand, &dir)).unwrap();
        let (child, log) = run(&dir, defence);
        let mut world = Self {
            stand,
            dir,
            child,
            log,
            read: Vec::new(),
        };
        world.await_log("listening");
        world.await_log("listening");
        world
    }

    /// Ends the broker in order and starts it again.
    pub fn restart(&mut self) {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success());
        (self.child, self.log) = run(&self.dir, "");
        self.await_log("listening");
        self.await_log("listening");
    }

    /// Waits for a line of the broker's log.
    pub fn await_log(&mut self, text: &str) -> String {
        loop {
            let line = self.log.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("no `{text}` in the log: {:#?}", self.read);
            });
            self.read.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Changes the settings, and has them read again.
    pub fn reload(&self, change: impl Fn(String) -> String) {
        let path = self.dir.path().join("egress.toml");
        let text = change(fs_err::read_to_string(&path).unwrap());
        fs_err::write(&path, text).unwrap();
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// The file of a listener's callers.
    pub fn client_file(&self, listener: &str, name: &str) -> PathBuf {
        self.dir.path().join("clients").join(listener).join(name)
    }

    /// What a listener's callers have in their environment.
    pub fn env(&self, listener: &str) -> BTreeMap<String, String> {
        let text = fs_err::read_to_string(self.client_file(listener, "placeholders.env")).unwrap();
        let pairs = text.lines().map(|line| line.split_once('=').unwrap());
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The header that a listener's callers send.
    pub fn bearer(&self, listener: &str) -> String {
        format!(
            "authorization: Bearer {}",
            self.env(listener)["REFERO_MCP_TOKEN"]
        )
    }

    /// Runs a program as another user, with a listener's environment and nothing else; who comes by the socket has
    /// not even a network.
    pub fn client(&self, listener: &str, program: &[&str]) -> String {
        let no_network = (listener == "sidecar").then_some("--net");
        let command = Command::new("unshare")
            .args(no_network)
            .args(["--", "setpriv"])
            .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"])
            .args(program)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .envs(self.env(listener))
            .current_dir(self.dir.path())
            .output();
        let output = command.unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            !text.contains(CANARY),
            "{program:?} saw the credential: {text}"
        );
        text.into_owned()
    }

    /// `curl`, with everything it is told in its output.
    pub fn curl(&self, arguments: &[&str]) -> String {
        let all = [
            &[
                "curl",
                "--silent",
                "--show-error",
                "--include",
                "--max-time",
                "20",
            ],
            arguments,
        ];
        self.client("agent", &all.concat())
    }

    /// Says bytes to the listener `agent`, and gives what comes back up to a refusal.
    pub fn say(&self, bytes: &[u8]) -> String {
        let proxy = self.env("agent")["HTTPS_PROXY"].replace("http://", "");
        let mut stream = TcpStream::connect(proxy).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        // What is refused ends with the JSON that says so; the connection may go on.
        while !answer.ends_with(b"}}") {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                length => answer.extend_from_slice(&buffer[..length]),
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What providers received since there were `count`.
    pub fn seen_since(&self, count: usize) -> Vec<Seen> {
        self.stand.log.since(count)
    }

    /// Ends the broker, verifies its audit, and looks for the credential in everything it wrote.
    pub fn finish(mut self) -> String {
        self.signal("TERM");
        assert!(self.child.wait().unwrap().success());
        let audit = self.dir.path().join("audit/egress.jsonl");
        let verified = miosa()
            .args(["audit", "verify", "--json", "--file"])
            .arg(&audit)
            .env("HOME", self.dir.path())
            .output()
            .unwrap();
        assert!(verified.status.success(), "{verified:?}");
        let text = fs_err::read_to_string(audit).unwrap();
        let log: Vec<String> = self.log.iter().collect();
        let log = self.read.join("\n") + &log.join("\n");
        let placeholder = &self.env("agent")["REFERO_MCP_TOKEN"];
        for written in [&text, &log] {
            assert!(!written.contains(CANARY) && !written.contains(placeholder));
        }
        let received = self.stand.attacker.received();
        assert!(!String::from_utf8_lossy(&received).contains(CANARY));
        text
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The program, without settings of whoever runs the tests.
pub fn miosa() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miosa"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MIOSA_")) {
        command.env_remove(name);
    }
    command
}

fn run(dir: &TempDir, weakened: &str) -> (Child, Receiver<String>) {
    let mut child = miosa()
        .args(["egress", "--standalone", "--config"])
        .arg(dir.path().join("egress.toml"))
        .env("MIOSA_WEAKEN", weakened)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (send, log) = channel();
    std::thread::spawn(move || {
        // Nobody may read the rest.
        lines
            .map_while(Result::ok)
            .for_each(|line| drop(send.send(line)));
    });
    (child, log)
}

fn settings(stand: &Stand, dir: &TempDir) -> String {
    let dir = dir.path().display();
    let (mut hosts, mut more) = (String::new(), String::new());
    let flags = stand.flags();
    for flag in flags.chunks(2) {
        match flag[0].as_str() {
            "--static-host" => {
                let (host, address) = flag[1].split_once('=').unwrap();
                writeln!(hosts, "\"{host}\" = \"{address}\"").unwrap();
            }
            "--upstream-ca" => writeln!(
                more,
                "extra_upstream_ca = [\"{0}\"]\nhost_ca_bundle = \"{0}\"",
                flag[1]
            )
            .unwrap(),
            "--allow-range" => writeln!(more, "allowed_ranges = [\"{}\"]", flag[1]).unwrap(),
            "--resolver" => writeln!(more, "resolvers = [\"{}\"]", flag[1]).unwrap(),
            other => panic!("unknown flag {other}"),
        }
    }
    let listener = |name: &str, listen: &str| {
        format!(
            r#"
[[listeners]]
name = "{name}"
listen = "{listen}"
rules = [
  {{ host = "{ALLOWED}", effect = "allow" }},
  {{ host = "{ATTACKER}", effect = "allow", path = "/**" }},
]
[[listeners.bindings]]
connector = "refero/design-research"
value_file = "{dir}/value"
"#
        )
    };
    let agent = listener("agent", "127.0.0.1:0");
    let sidecar = listener(
        "sidecar",
        &format!("unix:{dir}/sidecar.sock\"\nsocket_mode = 0o666 #"),
    );
    format!(
        r#"opening_key = "{dir}/opening.key"
audit_file = "{dir}/audit/egress.jsonl"
client_dir = "{dir}/clients"
{more}
[static_hosts]
{hosts}{agent}{sidecar}"#
    )
}
