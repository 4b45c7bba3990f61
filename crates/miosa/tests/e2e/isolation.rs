//! What a sandbox is, seen from inside.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::support::Stage;

pub async fn the_sandbox_is_its_own_machine(stage: Arc<Stage>) -> Result<()> {
    let id = stage.sandbox(&[]).await?;
    ensure!(stage.shell(&id, "id -u").await? == "0", "not root inside");
    ensure!(
        stage
            .shell(
                &id,
                "awk '{exit !($2 >= 100000)}' /proc/self/uid_map && echo yes"
            )
            .await?
            == "yes",
        "root inside is root outside"
    );
    ensure!(
        stage
            .shell(&id, "cat /proc/1/comm")
            .await?
            .contains("guest"),
        "pid 1 is not the guest agent"
    );
    ensure!(
        stage
            .shell(&id, "grep NoNewPrivs /proc/self/status")
            .await?
            .ends_with('1'),
        "privileges can grow"
    );
    ensure!(
        stage
            .shell(&id, "grep Seccomp: /proc/self/status")
            .await?
            .ends_with('2'),
        "no system call filter"
    );
    for forbidden in [
        "mount -t tmpfs none /mnt",
        "unshare -n true",
        "unshare -U true",
        "ip link add x type dummy",
        "nft flush ruleset",
        "mknod /tmp/disk b 254 0",
        "dmesg",
        "echo 1 > /proc/sys/kernel/sysrq",
        "ip route del local default dev lo",
    ] {
        let answer = stage.world.exec(&id, forbidden).await?;
        ensure!(answer["exit_code"] != 0, "`{forbidden}` worked: {answer}");
    }
    Ok(())
}

pub async fn no_packet_leaves_but_through_the_broker(stage: Arc<Stage>) -> Result<()> {
    let id = stage
        .sandbox(&[
            "--network-policy",
            "deny-all",
            "--allowed-domain",
            "allowed.example",
        ])
        .await?;
    let (status, body) = stage.curl(&id, "https://elsewhere.example/").await?;
    ensure!(
        status == 403 && body["error"]["code"] == "EGRESS_HOST_NOT_ALLOWED",
        "{status} {body}"
    );
    let (status, body) = stage.curl(&id, "-k https://192.0.2.10/").await?;
    ensure!(
        status == 403 && body["error"]["code"] == "EGRESS_ADDRESS_LITERAL",
        "{status} {body}"
    );
    let (status, body) = stage
        .curl(&id, "http://169.254.169.254/latest/meta-data/")
        .await?;
    ensure!(status == 403, "{status} {body}");
    let probe = "python3 - <<'E'\nimport socket\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.settimeout(3)\ns.connect(('198.51.100.1',443))\ntry:\n s.send(b'x'); s.send(b'x'); s.recv(1)\nexcept ConnectionRefusedError: print('refused')\nexcept OSError as e: print(type(e).__name__)\nE";
    ensure!(
        stage.shell(&id, probe).await? == "refused",
        "UDP 443 is not refused at once"
    );
    let host = stage
        .world
        .exec(&id, "curl -sS --max-time 5 http://127.0.0.1:1/")
        .await?;
    ensure!(host["exit_code"] != 0, "the host's loopback answers");
    Ok(())
}

pub async fn limits_hold(stage: Arc<Stage>) -> Result<()> {
    let id = stage
        .sandbox(&["--cpu", "1", "--memory", "256mb", "--disk", "1gb"])
        .await?;
    let eaten = stage
        .world
        .exec(&id, "python3 -c 'x = bytearray(600 << 20)'")
        .await?;
    ensure!(eaten["exit_code"] == 137, "600 MiB in 256: {eaten}");
    stage.shell(&id, "true").await?;
    let forks = stage.world.exec(&id, "python3 - <<'E'\nimport os\nn=0\ntry:\n while n < 20000:\n  if os.fork() == 0:\n   import time; time.sleep(20); os._exit(0)\n  n += 1\nexcept OSError as e: print('stopped')\nE").await?;
    ensure!(
        forks["stdout"]
            .as_str()
            .unwrap_or_default()
            .contains("stopped")
            || forks["exit_code"] != 0,
        "{forks}"
    );
    Ok(())
}
