//! Nothing remains of a sandbox, however it ends; and a restarted server finds one that runs.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use miosa_runtime::{Network, Runtime, RuntimeError, Upper};
use rustix::process::{Pid, Signal};

use crate::world::{World, eventually};

#[tokio::test]
async fn nothing_remains_after_stop_and_destroy() {
    let world = World::new("sleep 1000 & setsid sleep 1000 & exec sleep 1000");
    let mut spec = world.spec();
    spec.upper = Upper::Disk(64);
    let started = world.runtime.start(&spec).await.expect("start");
    assert_ne!(
        world.leftovers(&spec.id),
        Vec::<String>::new(),
        "the check sees a running one"
    );
    world.runtime.destroy(&spec.id).await.expect("destroy");
    assert!(!PathBuf::from(format!("/proc/{}", started.init_pid)).exists());
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());
    world
        .runtime
        .destroy(&spec.id)
        .await
        .expect("destroy again");
    world
        .runtime
        .stop(&spec.id)
        .await
        .expect("stop what is not there");
}

#[tokio::test]
async fn a_killed_shim_takes_its_sandbox_with_it() {
    let world = World::new("sleep 1000 & exec sleep 1000");
    let mut spec = world.spec();
    spec.upper = Upper::Disk(64);
    let started = world.runtime.start(&spec).await.expect("start");
    let shim = Pid::from_raw(world.shim_pid(&spec.id)).expect("pid");
    rustix::process::kill_process(shim, Signal::KILL).expect("kill");
    assert_eq!(
        world.runtime.wait_exit(&spec.id).await,
        "its shim was killed"
    );
    let init = PathBuf::from(format!("/proc/{}", started.init_pid));
    eventually("the guest dies with its shim", || !init.exists()).await;
    let found = world.runtime.list().await.expect("list");
    assert!(
        found
            .iter()
            .any(|found| found.id == spec.id && !found.alive),
        "{found:?}"
    );
    world.runtime.destroy(&spec.id).await.expect("destroy");
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());
}

#[tokio::test]
async fn a_restarted_server_finds_and_ends_what_runs() {
    let world = World::new("exec sleep 1000");
    let mut spec = world.spec();
    spec.generation = 7;
    world.runtime.start(&spec).await.expect("start");
    let again = world.reopen();
    let found = again.list().await.expect("list");
    assert!(
        found.len() == 1 && found[0].alive && found[0].generation == 7,
        "{found:?}"
    );
    let twice = again.start(&spec).await.expect_err("runs already");
    assert!(twice.to_string().contains("running already"), "{twice}");
    let (reason, stopped) = tokio::join!(again.wait_exit(&spec.id), again.stop(&spec.id));
    stopped.expect("stop");
    assert_eq!(reason, "stopped");
    again.destroy(&spec.id).await.expect("destroy");
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());
}

#[tokio::test]
async fn a_start_that_fails_leaves_nothing_and_says_why() {
    let world = World::new("exit 0");
    let mut spec = world.spec();
    spec.upper = Upper::Disk(64);
    spec.network = Network::Broker(world.path("nobody.sock"));
    let error = world
        .runtime
        .start(&spec)
        .await
        .expect_err("no broker")
        .to_string();
    assert!(
        error.contains("egress broker at") && error.contains("nobody.sock"),
        "{error}"
    );
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());

    spec.network = Network::None;
    spec.layers = vec![world.path("no-such-layer")];
    let error = world
        .runtime
        .start(&spec)
        .await
        .expect_err("no layer")
        .to_string();
    assert!(error.contains("no-such-layer"), "{error}");
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());

    spec.layers = vec![world.path("root")];
    std::fs::set_permissions(world.path("guest"), PermissionsExt::from_mode(0o644)).expect("guest");
    let error = world
        .runtime
        .start(&spec)
        .await
        .expect_err("no program")
        .to_string();
    assert!(error.contains("executing the guest agent"), "{error}");
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());
}

#[tokio::test]
async fn the_servers_files_outlive_a_failed_start_and_ids_are_names() {
    let world = World::new("exit 0");
    let mut spec = world.spec();
    let folder = world.runtime.sandbox_dir(&spec.id);
    std::fs::create_dir_all(&folder).expect("folder");
    std::fs::write(folder.join("ca-bundle.pem"), "certificates").expect("bundle");
    spec.layers = vec![world.path("no-such-layer")];
    world.runtime.start(&spec).await.expect_err("no layer");
    let left: Vec<_> = std::fs::read_dir(&folder)
        .expect("kept")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    let error = world
        .runtime
        .destroy(&"../../etc".into())
        .await
        .expect_err("no id");
    assert!(matches!(error, RuntimeError::NotFound(_)), "{error}");
}
