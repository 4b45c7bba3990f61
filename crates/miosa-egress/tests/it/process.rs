//! What the broker does to its own process. Runs in a child: it cannot be undone.

use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use crate::provider::Authority;
use crate::world::{World, patiently};

const NOBODY: u32 = 65534;

#[test]
fn the_process_is_hardened() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "process::hardened_child",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by the test above, in a process of its own"]
async fn hardened_child() {
    let mut world = World::prepare(&Authority::new(), &[]);
    fs_err::os::unix::fs::lchown(world.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    world.config.drop_to_uid = Some(NOBODY);
    // Its sockets stay root's, so this process, no longer root, cannot ask it: the audit file, made
    // after the change of user, tells that it is up.
    let broker = tokio::spawn(miosa_egress::run(
        world.config.clone(),
        std::future::pending(),
    ));
    patiently(async {
        while !world.config.audit_file.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!broker.is_finished());
    assert_eq!(
        fs_err::metadata(&world.config.audit_file).unwrap().uid(),
        NOBODY
    );

    for task in fs_err::read_dir("/proc/self/task").unwrap() {
        // A thread may end while it is looked at.
        let Ok(status) = fs_err::read_to_string(task.unwrap().path().join("status")) else {
            continue;
        };
        let ids = |name: &str| -> Vec<String> {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().skip(1).map(str::to_owned).collect()
        };
        assert_eq!(ids("Uid:"), vec![NOBODY.to_string(); 4]);
        assert_eq!(ids("Gid:"), vec![NOBODY.to_string(); 4]);
        assert_eq!(ids("Groups:"), Vec::<String>::new());
        assert_eq!(ids("CapEff:"), ["0000000000000000"]);
    }
    let limits = rustix::process::getrlimit(rustix::process::Resource::Core);
    assert_eq!((limits.current, limits.maximum), (Some(0), Some(0)));
    let dumpable = rustix::process::dumpable_behavior().unwrap();
    assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
    assert!(
        fs_err::read(&world.config.opening_key).is_err(),
        "the key is out of reach now"
    );
}
