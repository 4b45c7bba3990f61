//! Memory, processes, disk, and freezing.

use std::process::Command;

use miosa_runtime::{Runtime, Upper};

use crate::world::{World, eventually};

#[tokio::test]
async fn a_process_over_the_memory_limit_is_killed_and_the_others_go_on() {
    let world = World::new(
        "perl -e '$x = \"a\" x 300_000_000; $y = $x . $x; exit 3'; echo $? > /out/code; exit 5",
    );
    let spec = world.spec();
    assert_eq!(world.run(&spec).await, "exit status 5");
    assert_eq!(world.out("code"), "137\n");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn a_guest_killed_for_memory_says_so() {
    let world = World::new("exec perl -e '$x = \"a\" x 300_000_000; $y = $x . $x; exit 3'");
    let spec = world.spec();
    assert_eq!(world.run(&spec).await, "killed for memory");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn there_are_no_more_processes_than_allowed() {
    let script = "perl -e 'for (1..200) { my $p = fork(); if (!defined $p) { print \"$n $!\"; last } \
                  if (!$p) { sleep 1000 } $n++ }' > /out/forks";
    let world = World::new(script);
    let mut spec = world.spec();
    spec.pids_max = 20;
    assert_eq!(world.run(&spec).await, "exit status 0");
    let out = world.out("forks");
    let (count, words) = out.split_once(' ').expect("count and error");
    assert!(count.parse::<u32>().expect("count") < 20, "{out}");
    assert_eq!(words, "Resource temporarily unavailable");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn a_full_disk_is_the_sandboxs_own_and_outlives_a_stop() {
    let world = World::new(
        "touch /mark; dd if=/dev/zero of=/big bs=1M count=200 2>/tmp/err; \
         grep -q 'No space left' /tmp/err && exit 42; exit 1",
    );
    let mut spec = world.spec();
    spec.upper = Upper::Disk(64);
    assert_eq!(world.run(&spec).await, "exit status 42");
    world.runtime.stop(&spec.id).await.expect("stop");
    let found = world.runtime.list().await.expect("list");
    assert!(
        found
            .iter()
            .any(|found| found.id == spec.id && !found.alive),
        "{found:?}"
    );

    world.set_script("[ -e /mark ] && [ $(wc -c < /big) -gt 30000000 ] && exit 43; exit 1");
    spec.generation = 2;
    assert_eq!(world.run(&spec).await, "exit status 43");
    world.runtime.destroy(&spec.id).await.expect("destroy");
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());
}

#[tokio::test]
async fn frozen_processes_stand_still_until_thawed_and_can_be_killed() {
    let world = World::new("n=0; while true; do n=$((n+1)); echo $n > /out/n; done");
    let spec = world.spec();
    world.runtime.start(&spec).await.expect("start");
    eventually("the counter starts", || {
        world.out("n").trim().parse::<u64>().is_ok()
    })
    .await;

    world.runtime.freeze(&spec.id).await.expect("freeze");
    let found = world.runtime.list().await.expect("list");
    assert!(found[0].alive && found[0].frozen, "{found:?}");
    let before = world.runtime.usage(&spec.id).await.expect("usage");
    let frozen_at = world.out("n");
    for _ in 0..50 {
        Command::new("true").status().expect("time passes");
    }
    assert_eq!(world.out("n"), frozen_at);
    let after = world.runtime.usage(&spec.id).await.expect("usage");
    assert_eq!(after.cpu_usec, before.cpu_usec);
    assert!(
        before.cpu_usec > 0 && before.memory_bytes > 0 && before.pids > 0,
        "{before:?}"
    );

    world.runtime.thaw(&spec.id).await.expect("thaw");
    eventually("the counter goes on", || {
        world.out("n").trim() != frozen_at.trim()
    })
    .await;
    world.runtime.freeze(&spec.id).await.expect("freeze again");
    world
        .runtime
        .stop(&spec.id)
        .await
        .expect("stop a frozen one");
    assert_eq!(world.runtime.wait_exit(&spec.id).await, "stopped");
    world.runtime.destroy(&spec.id).await.expect("destroy");
    assert_eq!(world.leftovers(&spec.id), Vec::<String>::new());
}
