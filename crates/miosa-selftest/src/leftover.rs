//! What a world may not leave behind: processes, mounts, loop devices, control groups, sandbox folders.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Everything on this machine that still belongs to `folder`, one line each.
#[must_use]
pub fn find(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy();
    let mut found = processes(&folder);
    found.extend(lines_with("/proc/self/mountinfo", &folder).map(|line| format!("mount: {line}")));
    found.extend(loop_devices(&folder));
    found.extend(
        entries(&Path::new(folder.as_ref()).join("run/sandboxes"))
            .map(|path| format!("folder: {}", path.display())),
    );
    found
}

/// Control groups of sandboxes that exist on this machine now, for comparison before and after.
#[must_use]
pub fn control_groups() -> Vec<PathBuf> {
    let roots = std::iter::once(PathBuf::from("/sys/fs/cgroup"))
        .chain(entries(Path::new("/sys/fs/cgroup")));
    roots
        .flat_map(|root| {
            entries(&root.join("miosa"))
                .filter(|path| path.is_dir())
                .collect::<Vec<_>>()
        })
        .collect()
}

fn processes(folder: &str) -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for process in entries(Path::new("/proc")) {
        let pid = process
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if pid == own || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let command = read_to_string(process.join("cmdline"))
            .unwrap_or_default()
            .replace('\0', " ");
        if command.contains(folder) {
            found.push(format!("process {pid}: {command}"));
        }
    }
    found
}

fn loop_devices(folder: &str) -> Vec<String> {
    entries(Path::new("/sys/block"))
        .filter_map(|device| {
            let file = read_to_string(device.join("loop/backing_file")).ok()?;
            file.contains(folder)
                .then(|| format!("{}: {}", device.display(), file.trim()))
        })
        .collect()
}

fn lines_with(file: &str, text: &str) -> impl Iterator<Item = String> {
    let all = read_to_string(file).unwrap_or_default();
    let found: Vec<String> = all
        .lines()
        .filter(|line| line.contains(text))
        .map(str::to_owned)
        .collect();
    found.into_iter()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}
