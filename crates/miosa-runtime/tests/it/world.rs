//! A runtime in a folder of its own, with a small root and a shell script as guest agent.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use miosa_api::id::SandboxId;
use miosa_runtime::{Container, Network, RuntimeConfig, SandboxSpec, Upper};
use tempfile::TempDir;

/// Where a test's scripts leave what they found.
pub const OUT: &str = "out";

pub struct World {
    pub dir: TempDir,
    pub runtime: Container,
}

impl World {
    /// A world whose guests run this script.
    pub fn new(script: &str) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("mr")
            .tempdir()
            .expect("folder");
        let guest = dir.path().join("guest");
        std::fs::write(&guest, format!("#!/bin/sh\n{script}\n")).expect("guest");
        std::fs::set_permissions(&guest, PermissionsExt::from_mode(0o755)).expect("guest");
        make_root(&dir.path().join("root"));
        let runtime = Container::new(config(dir.path())).expect("a host that can run sandboxes");
        Self { dir, runtime }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A sandbox that writes to the folder `upper` and has no network.
    pub fn spec(&self) -> SandboxSpec {
        SandboxSpec {
            id: SandboxId::new(),
            generation: 1,
            layers: vec![self.path("root")],
            upper: Upper::Folder(self.path("upper")),
            memory_mb: 256,
            cpu_count: 1,
            pids_max: 64,
            hostname: "box".to_owned(),
            workdir: "/workspace".to_owned(),
            network: Network::None,
            ca_bundle: None,
            ca: None,
        }
    }

    /// What the script wrote to `/out/<name>`.
    pub fn out(&self, name: &str) -> String {
        let path = self.path("upper").join(OUT).join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| format!("({error})"))
    }

    /// How the guest and its shim logged.
    pub fn logs(&self, id: &SandboxId) -> String {
        let dir = config(self.dir.path()).sandbox_dir(id);
        let read = |name| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        format!("shim: {}\nguest: {}", read("shim.log"), read("guest.log"))
    }
}

fn config(dir: &Path) -> RuntimeConfig {
    RuntimeConfig {
        program: shim(),
        guest_binary: dir.join("guest"),
        run_dir: dir.join("run"),
        data_dir: dir.join("data"),
    }
}

/// The example `shim`, built beside the tests.
fn shim() -> PathBuf {
    let test = std::env::current_exe().expect("own path");
    let target = test.parent().and_then(Path::parent).expect("target folder");
    let shim = target.join("examples/shim");
    assert!(
        shim.exists(),
        "run `cargo build -p miosa-runtime --example shim` first"
    );
    shim
}

/// A root of busybox and its names.
fn make_root(root: &Path) {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = NAMES.get_or_init(|| {
        let output = Command::new("busybox")
            .arg("--list")
            .output()
            .expect("busybox-static");
        String::from_utf8(output.stdout)
            .expect("names")
            .lines()
            .map(str::to_owned)
            .collect()
    });
    for dir in ["bin", "etc/ssl/certs", "tmp", "out"] {
        std::fs::create_dir_all(root.join(dir)).expect("folders of the root");
    }
    std::fs::copy("/usr/bin/busybox", root.join("bin/busybox")).expect("busybox");
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("passwd");
    for name in names.iter().filter(|name| *name != "busybox") {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).expect("applet");
    }
}
