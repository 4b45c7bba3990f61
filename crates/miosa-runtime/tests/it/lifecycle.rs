//! Starting, looking at and ending sandboxes.

use std::time::Instant;

use miosa_runtime::Runtime;

use crate::world::World;

#[tokio::test]
async fn a_sandbox_starts_runs_its_guest_and_ends() {
    let world = World::new(
        "id > /out/id; hostname > /out/hostname; mount > /out/mounts; ps > /out/ps; pwd > /out/pwd; ls -la / /dev /.miosa /etc > /out/ls; cat /proc/self/status > /out/status; env > /out/env; exit 7",
    );
    let spec = world.spec();
    let begin = Instant::now();
    world.runtime.start(&spec).await.expect("start");
    eprintln!("start took {:?}", begin.elapsed());
    let reason = world.runtime.wait_exit(&spec.id).await;
    for f in [
        "id", "hostname", "mounts", "ps", "pwd", "ls", "status", "env",
    ] {
        eprintln!("--- {f}\n{}", world.out(f));
    }
    eprintln!("{}", world.logs(&spec.id));
    assert_eq!(reason, "exit status 7");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}
