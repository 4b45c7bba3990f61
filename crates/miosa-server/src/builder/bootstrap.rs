//! Makes a Debian system with mmdebstrap.
//!
//! It runs as root in a mount and process namespace of its own, so that nothing of it outlives a
//! build that is given up; what it makes comes back as an archive and is unpacked like any other,
//! without devices. Packages are signed by Debian; their names were checked by `templates::validate`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::BuildError;
use super::log::Told;
use crate::oci::unpack::{Devices, Unpacker};

const TIMEOUT: Duration = Duration::from_secs(30 * 60);
const PROGRAM: &str = "mmdebstrap";
/// What no sandbox reads: it halves the size.
const EXCLUDED: [&str; 5] = [
    "/usr/share/doc/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
    "/usr/share/lintian/*",
];
/// What mmdebstrap leaves of this host and of the bootstrap itself; the files stay, empty, as mount points.
/// Not `/tmp`: mmdebstrap has its own settings there until it has cleaned up.
const CUSTOMIZE: &str = r#"cd "$1" && rm -rf var/log/apt var/log/*.log var/cache/apt/*.bin var/cache/ldconfig/* &&
rm -f etc/resolv.conf etc/hostname && : > etc/resolv.conf && : > etc/hostname"#;
/// Proxy settings of the server, for hosts that reach the mirror no other way.
const PASSED_ON: [&str; 3] = ["http_proxy", "https_proxy", "no_proxy"];

/// Bootstraps `suite` with `packages` into `root`; an archive passes through `scratch`.
pub(super) async fn bootstrap(
    suite: &str,
    packages: &[String],
    root: &Path,
    scratch: &Path,
    told: &Told,
) -> Result<(), BuildError> {
    let archive = scratch.join("root.tar");
    let child = command(suite, packages, &archive, scratch)
        .spawn()
        .map_err(|error| BuildError::Bootstrap {
            why: format!(
                "{PROGRAM} could not be started ({error}); install it: apt-get install {PROGRAM}"
            ),
        })?;
    let followed = tokio::time::timeout(TIMEOUT, follow(child, told)).await;
    followed.map_err(|_| BuildError::Bootstrap {
        why: format!("it took longer than {TIMEOUT:?}"),
    })??;
    told.line("unpacking");
    let root = root.to_owned();
    let unpack = move || {
        Unpacker::new(&root, Devices::Skip)?
            .archive(std::io::BufReader::new(fs_err::File::open(&archive)?))?;
        Ok::<_, BuildError>(fs_err::remove_file(&archive)?)
    };
    tokio::task::spawn_blocking(unpack)
        .await
        .map_err(std::io::Error::other)?
}

fn command(suite: &str, packages: &[String], archive: &Path, scratch: &Path) -> Command {
    // Ends with the server even when that is killed, and everything in its process namespace with it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig=KILL", "--", "unshare"]);
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
        "--",
        PROGRAM,
    ]);
    command.args([
        "--mode=unshare",
        "--variant=minbase",
        "--format=tar",
        "--aptopt=Acquire::Languages \"none\"",
    ]);
    command.args(EXCLUDED.map(|pattern| format!("--dpkgopt=path-exclude={pattern}")));
    command.arg(format!("--customize-hook={CUSTOMIZE}"));
    if !packages.is_empty() {
        command.arg(format!("--include={}", packages.join(",")));
    }
    command.arg("--").arg(suite).arg(archive);
    command.args(host_sources(suite));
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TMPDIR", scratch)
        .env("LC_ALL", "C.UTF-8");
    command.envs(
        PASSED_ON
            .iter()
            .filter_map(|name| Some((*name, std::env::var_os(name)?))),
    );
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn follow(mut child: Child, told: &Told) -> Result<(), BuildError> {
    let stderr = child.stderr.take().expect("it was asked for a pipe");
    let mut lines = BufReader::new(stderr).lines();
    while let Some(line) = lines.next_line().await? {
        told.line(line.strip_prefix("I: ").unwrap_or(&line));
    }
    let status = child.wait().await?;
    if status.success() {
        return Ok(());
    }
    Err(BuildError::Bootstrap {
        why: format!("{PROGRAM} ended with {status}"),
    })
}

/// The host's own package sources, if it is the same Debian: then a mirror set up for the host is
/// used here too. Otherwise mmdebstrap's default mirror.
fn host_sources(suite: &str) -> Option<PathBuf> {
    let release = fs_err::read_to_string("/etc/os-release").ok()?;
    let has = |line: &str| release.lines().any(|found| found == line);
    if !has("ID=debian") || !has(&format!("VERSION_CODENAME={suite}")) {
        return None;
    }
    [
        "/etc/apt/sources.list.d/debian.sources",
        "/etc/apt/sources.list",
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|file| fs_err::read_to_string(file).is_ok_and(|text| text.contains("deb")))
}
