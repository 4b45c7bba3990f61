//! The OCI configuration of a sandbox: what it is, said in the words other runtimes understand.
//!
//! The shim reads process, mounts, limits, masks and mappings from it; only layers, disk and
//! network are beyond the standard and stand in [`crate::files::Launch`].

use std::io;
use std::path::Path;

use miosa_api::guest::{CA_BUNDLE_PATH, CA_PATH, GUEST_PATH};
use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use crate::runtime::{Network, SandboxSpec};
use crate::uids;

/// Where most Linux systems keep their trust bundle.
pub(crate) const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Folder of the host's own files inside.
const OWN: &str = "/.miosa";

/// Capabilities of root inside, over what belongs to the sandbox's user namespace; the list of Docker.
const CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// Files and folders that tell about the host.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What nobody inside may write, whatever its mode says.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Builds the configuration. `first_uid` is the host's id of root inside.
pub(crate) fn build(
    spec: &SandboxSpec,
    guest: &Path,
    first_uid: u32,
    cgroup: &str,
) -> io::Result<Spec> {
    let mapping = json!([{"containerID": 0, "hostID": first_uid, "size": uids::COUNT}]);
    let capabilities = json!(CAPABILITIES);
    let memory = i64::from(spec.memory_mb) * 1024 * 1024;
    let value = json!({
        "ociVersion": "1.2.0",
        "hostname": spec.hostname,
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0},
            "cwd": "/",
            "args": [GUEST_PATH, "--workdir", spec.workdir],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "noNewPrivileges": true,
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "soft": 65_536, "hard": 1_048_576},
                {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
                {"type": "RLIMIT_MEMLOCK", "soft": 8_388_608, "hard": 8_388_608},
            ],
        },
        "mounts": mounts(spec, guest),
        "annotations": {
            "dev.miosa.generation": spec.generation.to_string(),
            "dev.miosa.network": match spec.network { Network::Broker(_) => "broker", Network::None => "none" },
        },
        "linux": {
            "cgroupsPath": cgroup,
            "uidMappings": mapping,
            "gidMappings": mapping,
            "namespaces": [
                {"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "ipc"},
                {"type": "uts"}, {"type": "cgroup"}, {"type": "network"},
            ],
            "resources": {
                "memory": {"limit": memory, "swap": memory},
                "cpu": {"quota": u64::from(spec.cpu_count) * 100_000, "period": 100_000},
                "pids": {"limit": spec.pids_max},
            },
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    });
    Ok(serde_json::from_value(value)?)
}

fn mounts(spec: &SandboxSpec, guest: &Path) -> Vec<Value> {
    let hard = ["nosuid", "nodev", "noexec"];
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": hard}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs",
               "options": ["nosuid", "nodev", "noexec", "ro"]}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "mode=755", "size=64k"]}),
    ];
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        mounts.push(bind(
            Path::new(&format!("/dev/{device}")),
            &format!("/dev/{device}"),
            &[],
        ));
    }
    mounts.extend([
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
               "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
               "options": ["nosuid", "nodev", "mode=1777"]}),
        json!({"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": hard}),
        json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "nodev", "mode=755"]}),
        json!({"destination": OWN, "type": "tmpfs", "source": "tmpfs",
               "options": ["nosuid", "nodev", "mode=755", "size=64k"]}),
        bind(guest, GUEST_PATH, &["ro", "nosuid", "nodev"]),
    ]);
    if let Some(bundle) = &spec.ca_bundle {
        mounts.push(bind(
            bundle,
            CA_BUNDLE_PATH,
            &["ro", "nosuid", "nodev", "noexec"],
        ));
        mounts.push(bind(
            bundle,
            SYSTEM_BUNDLE,
            &["ro", "nosuid", "nodev", "noexec"],
        ));
    }
    if let Some(ca) = &spec.ca {
        mounts.push(bind(ca, CA_PATH, &["ro", "nosuid", "nodev", "noexec"]));
    }
    mounts
}

fn bind(source: &Path, destination: &str, options: &[&str]) -> Value {
    let options: Vec<&str> = std::iter::once("bind")
        .chain(options.iter().copied())
        .collect();
    json!({"destination": destination, "type": "bind", "source": source, "options": options})
}
