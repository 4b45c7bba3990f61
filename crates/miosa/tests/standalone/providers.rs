//! Providers' own SDKs, unmodified, against servers that take the credential alone, where the provider takes it: one
//! broker with a binding for each, and a listener whose callers have nothing but placeholders.
//!
//! S3's signatures are verified by botocore, which knows nothing of the broker's way to make them.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use miosa_selftest::stand::authority::Authority;
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::python;
use crate::world::miosa;

const ADDRESS: &str = "127.0.0.77";
const KEY: &str = "canary-secret-access-key-1f90c2ab77";
/// Connector, variable, host, and value.
const PROVIDERS: &[(&str, &str, &str, &str)] = &[
    (
        "aws",
        "AWS_ACCESS_KEY_ID",
        "s3.eu-west-1.amazonaws.com",
        r#"{"AccessKeyId":"AKIACANARY0123456789","SecretAccessKey":"canary-secret-access-key-1f90c2ab77","SessionToken":"canary-session+token/9d3e=="}"#,
    ),
    (
        "anthropic",
        "ANTHROPIC_API_KEY",
        "api.anthropic.com",
        "sk-ant-canary-4b1e90d2",
    ),
    (
        "openai",
        "OPENAI_API_KEY",
        "api.openai.com",
        "sk-canary-72c9f0a1b3",
    ),
    (
        "google",
        "GEMINI_API_KEY",
        "generativelanguage.googleapis.com",
        "AIzacanary-90b1d7c2",
    ),
    (
        "github",
        "GITHUB_TOKEN",
        "api.github.com",
        "ghp_canary6d1f08c2",
    ),
    (
        "gitlab",
        "GITLAB_TOKEN",
        "gitlab.com",
        "glpat-canary-5c0d9e13",
    ),
    (
        "slack",
        "SLACK_BOT_TOKEN",
        "slack.com",
        "xoxb-canary-83d0c1f2",
    ),
    (
        "notion",
        "NOTION_TOKEN",
        "api.notion.com",
        "ntn_canary2b7d90e1",
    ),
    (
        "stripe",
        "STRIPE_API_KEY",
        "api.stripe.com",
        "sk_test_canary19d3c0f8",
    ),
    (
        "huggingface",
        "HF_TOKEN",
        "huggingface.co",
        "hf_canary0e91b7d2c4",
    ),
    (
        "cloudflare",
        "CLOUDFLARE_API_TOKEN",
        "api.cloudflare.com",
        "canary_a17d0c93e2b8",
    ),
];

struct World {
    dir: TempDir,
    python: PathBuf,
    /// `calls.mjs` beside the SDKs for Node.
    node: PathBuf,
    broker: Child,
    server: Child,
}

impl Drop for World {
    fn drop(&mut self) {
        for child in [&mut self.broker, &mut self.server] {
            // It may have ended already.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn write(path: &Path, text: &str) {
    fs_err::write(path, text).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Installs exactly what `package.json` says below `cache`, on first use and when that changes.
fn node(cache: &Path) -> PathBuf {
    let folder = cache.join("provider-sdks-node");
    fs_err::create_dir_all(&folder).unwrap();
    let lock = fs_err::File::create(cache.join("provider-sdks-node.lock")).unwrap();
    lock.file().lock().unwrap();
    let own =
        |name: &str| fs_err::read_to_string(root().join("tests/providers").join(name)).unwrap();
    let (pins, made_of) = (own("package.json"), folder.join("made-of.json"));
    if fs_err::read_to_string(&made_of).ok().as_ref() != Some(&pins) {
        fs_err::write(folder.join("package.json"), &pins).unwrap();
        let flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
        let npm = Command::new("npm")
            .arg("install")
            .args(flags)
            .arg(&folder)
            .output();
        let npm = npm.expect("npm");
        assert!(npm.status.success(), "{npm:?}");
        fs_err::write(&made_of, &pins).unwrap();
    }
    // Modules are looked for beside the program.
    let program = folder.join("calls.mjs");
    fs_err::write(&program, own("calls.mjs")).unwrap();
    program
}

/// Reads lines until one holds `text`; the rest is read by nobody, and kept from filling up by a thread.
fn await_line(stream: impl std::io::Read + Send + 'static, text: &str) -> String {
    let mut lines = BufReader::new(stream).lines();
    let found = loop {
        let line = lines.next().expect("it ended").unwrap();
        if line.contains(text) {
            break line;
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    found
}

impl World {
    fn start() -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR");
        let cache = target
            .map_or_else(|| root().join("target"), PathBuf::from)
            .join("cache");
        let requirements = root().join("tests/providers/requirements.txt");
        let python = python::interpreter(&cache, "provider-sdks", &requirements).unwrap();
        let dir = tempfile::Builder::new()
            .prefix("miosa-")
            .tempdir_in("/tmp")
            .unwrap();
        let hosts: Vec<&str> = PROVIDERS.iter().map(|provider| provider.2).collect();
        let authority = Authority::new().unwrap();
        let (certificate, key) = authority.leaf(&hosts).unwrap();
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("leaf.pem", &certificate),
            ("leaf.key", &key),
        ] {
            write(&dir.path().join(name), text);
        }
        let values: Map<String, Value> = (PROVIDERS.iter())
            .map(|(connector, _, _, value)| ((*connector).to_owned(), Value::from(*value)))
            .collect();
        let mut server = Command::new(&python)
            .arg(root().join("tests/providers/server.py"))
            .args([dir.path().join("leaf.pem"), dir.path().join("leaf.key")])
            .env("VALUES", Value::from(values).to_string())
            .stdout(Stdio::piped())
            .stderr(
                fs_err::File::create(dir.path().join("server.log"))
                    .unwrap()
                    .into_parts()
                    .0,
            )
            .spawn()
            .unwrap();
        let port = await_line(server.stdout.take().unwrap(), "");
        let made = miosa()
            .args(["keys", "generate", "--opening"])
            .arg(dir.path().join("opening.key"))
            .arg("--sealing")
            .arg(dir.path().join("sealing.pub"))
            .output();
        assert!(made.unwrap().status.success());
        write(
            &dir.path().join("egress.toml"),
            &settings(dir.path(), &port),
        );
        let mut broker = miosa()
            .args(["egress", "--standalone", "--config"])
            .arg(dir.path().join("egress.toml"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        await_line(broker.stderr.take().unwrap(), "listening");
        Self {
            dir,
            python,
            node: node(&cache),
            broker,
            server,
        }
    }

    /// Runs a program with the listener's environment and nothing else.
    fn run(&self, program: &[&str]) -> Output {
        let variables = self.dir.path().join("clients/agent/placeholders.env");
        let variables = fs_err::read_to_string(variables).unwrap();
        Command::new(program[0])
            .args(&program[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(variables.lines().map(|line| line.split_once('=').unwrap()))
            .output()
            .unwrap()
    }

    /// Runs a program that must say that it is done.
    fn works(&self, program: &[&str]) -> String {
        let output = self.run(program);
        let text = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        let log = || fs_err::read_to_string(self.dir.path().join("server.log")).unwrap();
        assert!(output.status.success(), "{program:?}: {text}{}", log());
        assert!(text.ends_with("done\n"), "{program:?}: {text}");
        text
    }
}

fn settings(dir: &Path, port: &str) -> String {
    let at = dir.display();
    let mut text = format!(
        "opening_key = '{at}/opening.key'\naudit_file = '{at}/audit.jsonl'\nclient_dir = '{at}/clients'\n\
         extra_upstream_ca = ['{at}/ca.pem']\nallowed_ranges = ['{ADDRESS}/32']\n[static_hosts]\n"
    );
    for (_, _, host, _) in PROVIDERS {
        text += &format!("'{host}:443' = '{ADDRESS}:{port}'\n");
    }
    text += "[[listeners]]\nname = 'agent'\nlisten = '127.0.0.1:0'\n";
    for (connector, variable, _, value) in PROVIDERS {
        let file = dir.join(connector);
        write(&file, value);
        text += &format!(
            "[[listeners.bindings]]\nconnector = '{connector}'\nenv = '{variable}'\nvalue_file = '{}'\n",
            file.display()
        );
    }
    text
}

#[test]
fn sdks_of_providers_work_with_placeholders() {
    let world = World::start();
    let (python, node) = (
        world.python.display().to_string(),
        world.node.display().to_string(),
    );
    let program = |name: &str| {
        root()
            .join("tests/providers")
            .join(name)
            .display()
            .to_string()
    };
    for (connector, ..) in PROVIDERS {
        world.works(&["node", &node, connector]);
        if *connector != "aws" {
            world.works(&[&python, &program("calls.py"), connector]);
        }
    }
    let text = world.works(&[&python, &program("aws.py")]);
    assert_eq!(text.matches("refused:").count(), 2, "{text}");
    let audit = fs_err::read_to_string(world.dir.path().join("audit.jsonl")).unwrap();
    for code in [
        "EGRESS_HOST_NOT_ALLOWED",
        "EGRESS_SIGNATURE_SCOPE",
        "EGRESS_SIGNATURE_NOT_SUPPORTED",
    ] {
        assert!(audit.contains(code), "{code}: {audit}");
    }
    for hidden in [KEY, "AKIACANARY0123456789", "canary", "miosa-tok-"] {
        assert!(
            !audit.contains(hidden) && !text.contains(hidden),
            "{hidden}"
        );
    }
}
