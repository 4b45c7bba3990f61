//! Snapshots of disks: what they hold, who lies over them, and what becomes of them when something fails.

use std::process::Command;

use miosa_api::id::SandboxId;
use miosa_runtime::{Runtime, RuntimeError, SandboxSpec, Upper};

use crate::world::{World, eventually};

fn on_disk(world: &World) -> SandboxSpec {
    SandboxSpec {
        upper: Upper::Disk(64),
        ..world.spec()
    }
}

/// A sandbox of its own over snapshots.
fn over(world: &World, below: &[&str]) -> SandboxSpec {
    SandboxSpec {
        id: SandboxId::new(),
        below: below.iter().map(|name| (*name).to_owned()).collect(),
        ..on_disk(world)
    }
}

/// Runs a script in a sandbox over snapshots; how it ended.
async fn look(world: &World, below: &[&str], script: &str) -> String {
    world.set_script(script);
    let spec = over(world, below);
    let end = world.run(&spec).await;
    world.runtime.destroy(&spec.id).await.expect("destroy");
    end
}

#[tokio::test]
async fn a_running_sandbox_is_kept_as_it_is_and_goes_on() {
    let world = World::new(
        "mkdir /d; echo of-the-parent > /d/file; chown 1000:1000 /d/file; rm /etc/passwd; touch /ready
         while :; do sleep 0.01; done",
    );
    let parent = on_disk(&world);
    world.runtime.start(&parent.clone()).await.expect("start");
    let seen = format!("/proc/{}/root/ready", init_pid(&world, &parent.id));
    eventually("the parent is ready", || {
        std::path::Path::new(&seen).exists()
    })
    .await;
    let taken = world
        .runtime
        .snapshot(&parent.id, 0, "s1")
        .await
        .expect("snapshot");
    assert!(
        taken.held > std::time::Duration::ZERO,
        "it was not held still"
    );
    assert!(taken.bytes < 16 * 1024 * 1024, "{} bytes", taken.bytes);
    let found = world.runtime.list().await.expect("list");
    assert!(
        found.iter().any(|found| found.alive && !found.frozen),
        "{found:?}"
    );

    // Another range of users, the same owners inside; what was deleted stays deleted.
    let child = "[ \"$(cat /d/file)\" = of-the-parent ] || exit 1; [ \"$(stat -c %u:%g /d/file)\" = 1000:1000 ] || exit 2
         [ -e /etc/passwd ] && exit 3; echo changed > /d/file || exit 4; rm -r /d || exit 5; touch /late; exit 7";
    assert_eq!(look(&world, &["s1"], child).await, "exit status 7");
    assert_eq!(
        look(&world, &["s1"], child).await,
        "exit status 7",
        "the first child wrote to it"
    );
    let inside = format!("/proc/{}/root/late", init_pid(&world, &parent.id));
    assert!(
        !std::path::Path::new(&inside).exists(),
        "a child wrote to its parent"
    );
    world.runtime.destroy(&parent.id).await.expect("destroy");

    // It needs no parent.
    assert_eq!(look(&world, &["s1"], child).await, "exit status 7");
    world.runtime.remove_snapshot("s1").await.expect("remove");
    assert!(world.runtime.snapshots().await.expect("list").is_empty());
    let spec = over(&world, &["s1"]);
    let refused = world.runtime.start(&spec).await;
    assert!(
        matches!(refused, Err(RuntimeError::Start(_))),
        "{refused:?}"
    );
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());
    assert_eq!(world.leftovers(&parent.id), Vec::<String>::new());
}

fn init_pid(world: &World, id: &SandboxId) -> i64 {
    let state = std::fs::read(
        world
            .path("run/sandboxes")
            .join(id.as_str())
            .join("state.json"),
    );
    let state: serde_json::Value = serde_json::from_slice(&state.expect("state")).expect("state");
    state["init"]["pid"].as_i64().expect("pid")
}

#[tokio::test]
async fn snapshots_lie_over_snapshots() {
    let world = World::new("echo 0 > /log; echo 0 > /n0; exit 0");
    let mut below: Vec<String> = Vec::new();
    for depth in 0..4 {
        world.set_script(&format!("echo {depth} >> /log; touch /n{depth}; exit 0"));
        let names: Vec<&str> = below.iter().map(String::as_str).collect();
        let spec = over(&world, &names);
        assert_eq!(world.run(&spec).await, "exit status 0");
        let name = format!("s{depth}");
        let taken = world
            .runtime
            .snapshot(&spec.id, 0, &name)
            .await
            .expect("snapshot");
        assert_eq!(taken.held, std::time::Duration::ZERO, "it was not running");
        below.insert(0, name);
        world.runtime.destroy(&spec.id).await.expect("destroy");
    }
    let names: Vec<&str> = below.iter().map(String::as_str).collect();
    let script = "[ \"$(tr -d '\\n' < /log)\" = 0123 ] && [ -e /n0 -a -e /n1 -a -e /n2 -a -e /n3 ] && exit 7";
    assert_eq!(look(&world, &names, script).await, "exit status 7");
}

#[tokio::test]
async fn a_frozen_sandbox_stays_frozen() {
    let world = World::new("echo kept > /file; while :; do sleep 1; done");
    let spec = on_disk(&world);
    world.runtime.start(&spec).await.expect("start");
    let file = format!("/proc/{}/root/file", init_pid(&world, &spec.id));
    eventually("the file is there", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text == "kept\n")
    })
    .await;
    world.runtime.freeze(&spec.id).await.expect("freeze");
    world
        .runtime
        .snapshot(&spec.id, 0, "s")
        .await
        .expect("snapshot");
    let found = world.runtime.list().await.expect("list");
    assert!(
        found.iter().any(|found| found.alive && found.frozen),
        "{found:?}"
    );
    world.runtime.destroy(&spec.id).await.expect("destroy");
    assert_eq!(
        look(&world, &["s"], "grep -q kept /file && exit 7").await,
        "exit status 7"
    );
}

#[tokio::test]
async fn a_restored_sandbox_begins_a_new_disk_and_the_old_one_goes() {
    let world = World::new("echo first > /file; exit 0");
    let mut spec = on_disk(&world);
    assert_eq!(world.run(&spec).await, "exit status 0");
    world
        .runtime
        .snapshot(&spec.id, 0, "s")
        .await
        .expect("snapshot");
    world.set_script("echo second > /file; touch /new; exit 0");
    assert_eq!(world.run(&spec).await, "exit status 0");
    world.runtime.stop(&spec.id).await.expect("stop");

    spec.below = vec!["s".to_owned()];
    spec.disk_epoch = 1;
    world.set_script("grep -q first /file && [ ! -e /new ] && exit 7");
    assert_eq!(world.run(&spec).await, "exit status 7");
    world.runtime.stop(&spec.id).await.expect("stop");
    let disks = std::fs::read_dir(world.path("data/disks"))
        .expect("disks")
        .flatten();
    let own = disks.filter(|disk| {
        disk.file_name()
            .to_string_lossy()
            .contains(spec.id.as_str())
    });
    assert_eq!(own.count(), 1, "the old disk is still there");
    let found = world.runtime.list().await.expect("list");
    assert!(found.iter().any(|found| found.id == spec.id), "{found:?}");
    world.runtime.destroy(&spec.id).await.expect("destroy");
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_host_leaves_no_half_snapshot_and_the_sandbox_goes_on() {
    let world = World::new(
        "dd if=/dev/urandom of=/big bs=1M count=12; sync; touch /ready; while :; do sleep 1; done",
    );
    let data = Mounted::new(world.path("data"), "24m");
    let runtime = world.reopen();
    let spec = on_disk(&world);
    runtime.start(&spec).await.expect("start");
    let root = format!("/proc/{}/root", init_pid(&world, &spec.id));
    let ready = format!("{root}/ready");
    eventually("the parent is ready", || {
        std::path::Path::new(&ready).exists()
    })
    .await;
    let refused = runtime.snapshot(&spec.id, 0, "s").await;
    assert!(
        matches!(refused, Err(RuntimeError::DiskFull(_))),
        "{refused:?}"
    );
    let files = std::fs::read_dir(world.path("data/snapshots")).expect("folder");
    assert_eq!(files.count(), 0, "something is left");
    let found = runtime.list().await.expect("list");
    let goes_on = found.iter().any(|found| found.alive && !found.frozen);
    assert!(goes_on, "{found:?}");
    runtime.destroy(&spec.id).await.expect("destroy");
    drop(data);
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_no_snapshot_and_goes() {
    let world = World::new("exit 0");
    let half = world.path("data/snapshots/half.part");
    std::fs::write(&half, "half").expect("file");
    assert!(world.reopen().snapshots().await.expect("list").is_empty());
    assert!(!half.exists());
}

#[tokio::test]
async fn a_name_that_is_a_path_is_refused() {
    let world = World::new("exit 0");
    let spec = on_disk(&world);
    assert_eq!(world.run(&spec).await, "exit status 0");
    for name in ["../s", "a/b", "", "."] {
        assert!(
            world.runtime.snapshot(&spec.id, 0, name).await.is_err(),
            "{name}"
        );
        assert!(
            world.runtime.start(&over(&world, &[name])).await.is_err(),
            "{name}"
        );
    }
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn a_copy_has_an_identity_of_its_own() {
    let world = World::new(
        "cp /etc/machine-id /parent; mkdir -p /etc/ssh /var/lib/systemd; echo key > /etc/ssh/ssh_host_rsa_key
         echo config > /etc/ssh/sshd_config; echo seed > /var/lib/systemd/random-seed; exit 0",
    );
    let mut parent = on_disk(&world);
    assert_eq!(world.run(&parent).await, "exit status 0");
    world
        .runtime
        .snapshot(&parent.id, 0, "s")
        .await
        .expect("snapshot");
    let id: String = parent.id.as_str().chars().filter(|c| *c != '-').collect();
    let kept = format!(
        "[ \"$(cat /etc/machine-id)\" = {id} ] && [ -e /etc/ssh/ssh_host_rsa_key ] && [ ! -e /.miosa/renew-ssh-keys ] && exit 7"
    );
    world.set_script(&kept);
    parent.generation += 1;
    assert_eq!(
        world.run(&parent).await,
        "exit status 7",
        "a new start is no copy"
    );
    world.runtime.destroy(&parent.id).await.expect("destroy");
    let renewed = "cmp -s /etc/machine-id /parent && exit 1; [ \"$(wc -c < /etc/machine-id)\" = 33 ] || exit 2
         [ -e /etc/ssh/ssh_host_rsa_key ] && exit 3; [ -e /.miosa/renew-ssh-keys ] || exit 4
         [ -e /var/lib/systemd/random-seed ] && exit 5; [ -e /etc/ssh/sshd_config ] && exit 7";
    assert_eq!(look(&world, &["s"], renewed).await, "exit status 7");
}

/// A small file system.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(target: std::path::PathBuf, size: &str) -> Self {
        let options = format!("size={size}");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&target)
            .status();
        assert!(mount.is_ok_and(|status| status.success()), "not mounted");
        Self(target)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
