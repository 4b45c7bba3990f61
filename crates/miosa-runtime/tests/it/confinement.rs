//! What nobody inside can do, as root of the sandbox.

use std::os::unix::fs::MetadataExt;

use miosa_runtime::{Runtime, Upper};

use crate::world::World;

const EPERM: &str = "1";
const ENOSYS: &str = "38";
const EAFNOSUPPORT: &str = "97";

#[tokio::test]
async fn root_inside_is_nobody_outside_and_owns_its_files_on_disk() {
    let world = World::new("id -u > /out/id; exec sleep 1000");
    let spec = world.spec();
    let started = world.runtime.start(&spec).await.expect("start");
    crate::world::eventually("the script runs", || world.out("id") == "0\n").await;
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", started.init_pid)).expect("status");
    let uid = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .expect("uid");
    let uids: Vec<u32> = uid
        .split_whitespace()
        .map(|id| id.parse().expect("number"))
        .collect();
    assert!(uids.iter().all(|uid| *uid >= 100_000), "{uid}");
    let file = std::fs::metadata(world.path("upper/out/id")).expect("file");
    assert_eq!((file.uid(), file.gid()), (0, 0));
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn no_two_sandboxes_share_a_user() {
    let world = World::new("exec sleep 1000");
    let mut specs = [world.spec(), world.spec()];
    let mut owners = Vec::new();
    for spec in &mut specs {
        spec.upper = Upper::Disk(64);
        let started = world.runtime.start(spec).await.expect("start");
        let process = std::fs::metadata(format!("/proc/{}", started.init_pid)).expect("process");
        owners.push(process.uid());
    }
    assert_ne!(owners[0], owners[1]);
    for spec in &specs {
        world.runtime.destroy(&spec.id).await.expect("destroy");
    }
}

#[tokio::test]
async fn forbidden_system_calls_fail() {
    // x86-64 numbers: the filter's own list is checked by name in the crate.
    let calls = [
        ("mount", "165, 0, 0, 0, 0, 0", EPERM),
        ("umount2", "166, 0, 0", EPERM),
        ("unshare user", "272, 0x10000000", EPERM),
        ("unshare net", "272, 0x40000000", EPERM),
        ("clone user", "56, 0x10000011, 0, 0, 0, 0", EPERM),
        ("clone3", "435, 0, 0", ENOSYS),
        ("setns", "308, 0, 0", EPERM),
        ("bpf", "321, 0, 0, 0", EPERM),
        ("io_uring_setup", "425, 1, 0", EPERM),
        ("keyctl", "250, 0, 0, 0", EPERM),
        ("perf_event_open", "298, 0, 0, 0, 0, 0", EPERM),
        ("userfaultfd", "323, 0", EPERM),
        ("open_tree", "428, 0, 0, 0", EPERM),
        ("init_module", "175, 0, 0, 0", EPERM),
        ("x32 getpid", "0x40000027", ENOSYS),
        ("ioctl TIOCSTI", "16, 0, 0x5412, 0", EPERM),
        ("socket packet", "41, 17, 3, 0", EAFNOSUPPORT),
        ("socket vsock", "41, 40, 1, 0", EAFNOSUPPORT),
        ("socket alg", "41, 38, 5, 0", EAFNOSUPPORT),
        ("socket netfilter", "41, 16, 3, 12", EAFNOSUPPORT),
        ("socket sctp", "41, 2, 1, 132", EAFNOSUPPORT),
        ("socket route", "41, 16, 3, 0", "0"),
        ("socket tcp", "41, 2, 1, 0", "0"),
        ("socket raw", "41, 2, 3, 255", EPERM),
    ];
    let mut script = String::new();
    for (name, arguments, _) in &calls {
        script += &format!(
            "perl -e '$r = syscall({arguments}); print \"{name}=\", ($r < 0 ? $!+0 : 0), \"\\n\"' >> /out/calls\n"
        );
    }
    let world = World::new(&script);
    let spec = world.spec();
    assert_eq!(
        world.run(&spec).await,
        "exit status 0",
        "{}",
        world.logs(&spec.id)
    );
    let expected: String = calls
        .iter()
        .map(|(name, _, errno)| format!("{name}={errno}\n"))
        .collect();
    assert_eq!(world.out("calls"), expected);
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn the_host_is_out_of_sight() {
    let world = World::new(
        "for fd in /proc/1/fd/*; do readlink $fd; done > /out/fds
         ls -d /proc/[0-9]* | wc -l > /out/processes
         cat /proc/kcore | wc -c > /out/kcore
         (echo x > /proc/sys/kernel/hostname) 2>&1 | grep -c 'Read-only' > /out/sysctl
         (echo x > /.miosa/guest) 2>&1 | grep -c 'Read-only' > /out/guest
         mknod /tmp/disk b 7 0 && cat /tmp/disk 2> /out/disk
         mknod /tmp/disk b 7 0 2> /out/mknod
         ls /sys/class/net > /out/devices
         ls /sys/firmware | wc -l > /out/firmware
         grep -c . /proc/self/mountinfo > /out/mounts
         dmesg 2> /out/dmesg; exit 0",
    );
    let spec = world.spec();
    assert_eq!(world.run(&spec).await, "exit status 0");
    let fds = world.out("fds");
    // The shell's own: its script and the file it writes this to.
    let own = |line: &&str| !line.starts_with("/.miosa/guest") && !line.starts_with("/out/");
    let kinds: Vec<_> = fds
        .lines()
        .filter(own)
        .map(|line| line.split(':').next().unwrap_or(line))
        .collect();
    assert_eq!(kinds, ["/dev/null", "pipe", "pipe", "socket"], "{fds}");
    assert!(
        world
            .out("processes")
            .trim()
            .parse::<u32>()
            .expect("number")
            <= 4,
        "{}",
        world.out("processes")
    );
    assert_eq!(world.out("kcore"), "0\n");
    assert_eq!(world.out("sysctl"), "1\n");
    assert_eq!(world.out("guest"), "1\n");
    assert!(
        world.out("mknod").contains("not permitted"),
        "{}",
        world.out("mknod")
    );
    assert_eq!(world.out("devices"), "lo\n");
    assert_eq!(world.out("firmware"), "0\n");
    assert!(
        world.out("dmesg").contains("not permitted"),
        "{}",
        world.out("dmesg")
    );
    world.runtime.destroy(&spec.id).await.expect("destroy");
}
