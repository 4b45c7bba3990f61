//! A runtime in a folder of its own, with a small root and a shell script as guest agent.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use miosa_api::id::SandboxId;
use miosa_runtime::{Container, Network, Runtime, RuntimeConfig, SandboxSpec, Upper};
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
        std::fs::write(&guest, guest_script(script)).expect("guest");
        std::fs::set_permissions(&guest, PermissionsExt::from_mode(0o755)).expect("guest");
        make_root(&dir.path().join("root"));
        let runtime = Container::new(config(dir.path())).expect("a host that can run sandboxes");
        Self { dir, runtime }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Another runtime on the same folders, as after a restart of the server.
    pub fn reopen(&self) -> Container {
        Container::new(config(self.dir.path())).expect("the same host")
    }

    /// Makes the guests of later starts run another script.
    pub fn set_script(&self, script: &str) {
        std::fs::write(self.path("guest"), guest_script(script)).expect("guest");
    }

    /// Starts the sandbox, waits for its end and says why it ended.
    pub async fn run(&self, spec: &SandboxSpec) -> String {
        self.runtime.start(spec).await.expect("start");
        self.runtime.wait_exit(&spec.id).await
    }

    /// The shim's process id, from its state.
    pub fn shim_pid(&self, id: &SandboxId) -> i32 {
        let state = config(self.dir.path()).sandbox_dir(id).join("state.json");
        let state: serde_json::Value =
            serde_json::from_slice(&std::fs::read(state).expect("state")).expect("state");
        state["shim"]["pid"]
            .as_i64()
            .and_then(|pid| pid.try_into().ok())
            .expect("pid")
    }

    /// Everything of the sandbox that can be found on the host, in words.
    pub fn leftovers(&self, id: &SandboxId) -> Vec<String> {
        let folder = self.dir.path().to_str().expect("path");
        let mut found = Vec::new();
        for process in std::fs::read_dir("/proc").expect("proc").flatten() {
            let cmdline = std::fs::read_to_string(process.path().join("cmdline"));
            if cmdline.is_ok_and(|text| text.contains(folder) && text.contains("shim")) {
                found.push(format!("process {:?}", process.file_name()));
            }
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        found.extend(
            mounts
                .lines()
                .filter(|line| line.contains(folder))
                .map(str::to_owned),
        );
        let output = Command::new("losetup").arg("-a").output().expect("losetup");
        let loops = String::from_utf8_lossy(&output.stdout).into_owned();
        found.extend(
            loops
                .lines()
                .filter(|line| line.contains(id.as_str()))
                .map(str::to_owned),
        );
        let groups = ["/sys/fs/cgroup", "-type", "d", "-name", id.as_str()];
        let output = Command::new("find").args(groups).output().expect("find");
        found.extend(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(str::to_owned),
        );
        let files = [folder, "-name", &format!("*{id}*")];
        let output = Command::new("find").args(files).output().expect("find");
        found.extend(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .map(str::to_owned),
        );
        let slots = std::fs::read_dir(self.path("run/uids"))
            .expect("slots")
            .flatten();
        found.extend(
            slots
                .map(|slot| format!("{:?}", slot.path()))
                .filter(|slot| !slot.contains("lock")),
        );
        found
    }

    /// A sandbox that writes to the folder `upper` and has no network.
    pub fn spec(&self) -> SandboxSpec {
        SandboxSpec {
            id: SandboxId::new(),
            generation: 1,
            layers: vec![self.path("root")],
            below: Vec::new(),
            disk_epoch: 0,
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

/// A guest agent that takes the connection by which a start ends, and then runs the script.
fn guest_script(script: &str) -> String {
    format!("#!/bin/sh\nperl -e 'open(S, \"+<&=3\"); accept(C, S)'\n{script}\n")
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

/// A root of busybox and its names, and perl for raw system calls.
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
    copy_program("/usr/bin/perl", root);
}

/// Copies a program with the libraries it needs.
fn copy_program(program: &str, root: &Path) {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8(output.stdout).expect("libraries");
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/'));
    for path in libraries.chain([program]) {
        let target = root.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(target.parent().expect("folder")).expect("folder");
        std::fs::copy(path, target).expect("copy");
    }
}

/// Waits until it holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}
