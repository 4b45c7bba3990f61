//! What a sandbox finds when it starts.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use miosa_runtime::Runtime;

use crate::world::World;

#[tokio::test]
async fn a_sandbox_starts_runs_its_guest_and_ends() {
    let world = World::new(
        "echo $$ > /out/pid; echo \"$@\" > /out/args; hostname > /out/hostname; cat /etc/hosts > /out/hosts
         cat /etc/resolv.conf > /out/resolver; [ -d /workspace ] && exit 7",
    );
    let spec = world.spec();
    let begin = Instant::now();
    world.runtime.start(&spec).await.expect("start");
    eprintln!("start took {:?}", begin.elapsed());
    let socket = std::fs::metadata(world.runtime.guest_socket(&spec.id)).expect("socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let folder = std::fs::metadata(world.runtime.sandbox_dir(&spec.id)).expect("folder");
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    assert_eq!(world.runtime.wait_exit(&spec.id).await, "exit status 7");
    assert_eq!(world.out("pid"), "1\n");
    assert_eq!(world.out("args"), "--workdir /workspace\n");
    assert_eq!(world.out("hostname"), "box\n");
    assert!(world.out("hosts").contains("127.0.1.1 box\n"));
    assert!(world.out("resolver").contains("nameserver 198.18.0.2\n"));
    world.runtime.destroy(&spec.id).await.expect("destroy");
    assert!(
        !world.path("upper.work").exists(),
        "the overlay's work folder"
    );
}

#[tokio::test]
async fn certificates_are_mounted_read_only_over_the_systems_own() {
    let world = World::new(
        "cat /.miosa/ca-bundle.pem /.miosa/ca.pem /etc/ssl/certs/ca-certificates.crt > /out/seen
         echo x > /etc/ssl/certs/ca-certificates.crt || exit 9",
    );
    std::fs::write(
        world.path("root/etc/ssl/certs/ca-certificates.crt"),
        "system\n",
    )
    .expect("system's");
    std::fs::write(world.path("bundle"), "bundle\n").expect("bundle");
    std::fs::write(world.path("ca"), "ca\n").expect("ca");
    let mut spec = world.spec();
    spec.ca_bundle = Some(world.path("bundle"));
    spec.ca = Some(world.path("ca"));
    assert_eq!(world.run(&spec).await, "exit status 9");
    assert_eq!(world.out("seen"), "bundle\nca\nbundle\n");
    world.runtime.destroy(&spec.id).await.expect("destroy");
    let kept = std::fs::read_to_string(world.path("root/etc/ssl/certs/ca-certificates.crt"));
    assert_eq!(kept.expect("system's"), "system\n");
}

#[tokio::test]
async fn hundreds_of_layers_the_topmost_first() {
    let world = World::new(
        "cat /which > /out/which; ls / | grep -c layer > /out/count; echo new > /layer0",
    );
    let mut spec = world.spec();
    for number in 0..150 {
        let layer = world.path(&format!("layers/{number}"));
        std::fs::create_dir_all(&layer).expect("layer");
        std::fs::write(layer.join("which"), number.to_string()).expect("file");
        std::fs::write(layer.join(format!("layer{number}")), "old").expect("file");
        spec.layers.insert(number, layer);
    }
    assert_eq!(
        world.run(&spec).await,
        "exit status 0",
        "{}",
        world.logs(&spec.id)
    );
    assert_eq!(world.out("which"), "0");
    assert_eq!(world.out("count"), "150\n");
    let lower = std::fs::read_to_string(world.path("layers/0/layer0")).expect("lower");
    assert_eq!(lower, "old", "layers are not written to");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn links_in_a_template_do_not_lead_to_the_host() {
    let world = World::new("cat /etc/resolv.conf > /out/resolver; ls -ld /run /dev > /out/folders");
    let root = world.path("root");
    let victim = world.path("victim");
    std::fs::write(&victim, "host").expect("victim");
    std::os::unix::fs::symlink(&victim, root.join("etc/resolv.conf")).expect("link");
    std::os::unix::fs::symlink("/nowhere/../tmp", root.join("run")).expect("link");
    std::os::unix::fs::symlink(world.dir.path(), root.join("dev")).expect("link");
    let spec = world.spec();
    assert_eq!(
        world.run(&spec).await,
        "exit status 0",
        "{}",
        world.logs(&spec.id)
    );
    assert!(world.out("resolver").starts_with("nameserver"));
    assert_eq!(std::fs::read_to_string(&victim).expect("victim"), "host");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}

#[tokio::test]
async fn no_link_in_a_tree_leads_to_the_host_while_the_sandbox_is_put_together() {
    let world = World::new("cat /etc/hosts > /out/hosts");
    // Not below `/tmp`, which is hidden from the process that makes the root.
    let host = tempfile::Builder::new()
        .prefix("mr")
        .tempdir_in("/var/tmp")
        .expect("folder");
    std::fs::set_permissions(host.path(), PermissionsExt::from_mode(0o777)).expect("for all");
    let readable = host.path().join("readable");
    std::fs::write(&readable, "127.0.0.1 of-the-host\n").expect("file");
    std::fs::set_permissions(&readable, PermissionsExt::from_mode(0o644)).expect("for all");
    let through = |path: &std::path::Path| format!("/..{}", path.display());
    let link = |to: String, name: &str| {
        std::os::unix::fs::symlink(to, world.path("root").join(name)).expect("link");
    };
    link(through(&readable), "etc/hosts");
    link(through(host.path()), "away");
    let mut spec = world.spec();
    spec.workdir = "/away/made".to_owned();
    // A folder that cannot be made is reason enough not to start.
    if world.runtime.start(&spec).await.is_ok() {
        world.runtime.wait_exit(&spec.id).await;
    }
    assert!(!host.path().join("made").exists(), "written to the host");
    spec.workdir = "/workspace".to_owned();
    assert_eq!(world.run(&spec).await, "exit status 0");
    let hosts = world.out("hosts");
    assert!(hosts.contains("localhost"), "{hosts}");
    assert!(!hosts.contains("of-the-host"), "the host was read: {hosts}");
    world.runtime.destroy(&spec.id).await.expect("destroy");
}
