//! Where the hierarchies are mounted, and where in them this process may make groups.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::PARENT;

/// The hierarchies of this host.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// The v2 tree: the folder groups are made below.
    pub(super) unified: Option<PathBuf>,
    /// v1 hierarchies by controller.
    pub(super) controllers: BTreeMap<String, PathBuf>,
}

impl Mounts {
    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`.
    pub(super) fn read() -> io::Result<Self> {
        let table = fs_err::read_to_string("/proc/self/mountinfo")?;
        let own = fs_err::read_to_string("/proc/self/cgroup")?;
        Ok(Self::parse(&table, &own, writable))
    }

    fn parse(table: &str, own: &str, writable: impl Fn(&Path) -> bool) -> Self {
        let mut found = Self::default();
        for line in table.lines() {
            let Some((left, right)) = line.split_once(" - ") else {
                continue;
            };
            let mut right = right.split(' ');
            let (kind, options) = (right.next(), right.nth(1).unwrap_or_default());
            let Some(point) = left.split(' ').nth(4).map(PathBuf::from) else {
                continue;
            };
            // The root where it may be written (limits of groups above do not count then), else the
            // group this process is in.
            let base = |own: Option<&str>| {
                let own = own.map(|path| point.join(path.trim_start_matches('/')));
                std::iter::once(point.clone())
                    .chain(own)
                    .find(|path| writable(path))
            };
            match kind {
                Some("cgroup2") => {
                    let own = own.lines().find_map(|line| line.strip_prefix("0::"));
                    found.unified = base(own).or(found.unified);
                }
                Some("cgroup") => {
                    for controller in options.split(',') {
                        if let Some(base) = base(own_group(own, controller)) {
                            found.controllers.insert(controller.to_owned(), base);
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }
}

fn own_group<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let names = fields.nth(1)?;
        names
            .split(',')
            .any(|name| name == controller)
            .then(|| fields.next())?
    })
}

/// Whether groups can be made below `dir`.
fn writable(dir: &Path) -> bool {
    let parent = dir.join(PARENT);
    match fs_err::create_dir(&parent) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::AlreadyExists,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_hierarchies_and_falls_back_to_its_own_group() {
        let table = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                     35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                     36 31 0:33 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "4:memory:/a/b\n2:cpu,cpuacct:/\n0::/c\n";
        let only_own = |path: &Path| path != Path::new("/sys/fs/cgroup/memory");
        let mounts = Mounts::parse(table, own, only_own);
        assert_eq!(
            mounts.controllers["memory"],
            Path::new("/sys/fs/cgroup/memory/a/b")
        );
        assert_eq!(
            mounts.controllers["cpuacct"],
            Path::new("/sys/fs/cgroup/cpu")
        );
        assert_eq!(
            mounts.unified.as_deref(),
            Some(Path::new("/sys/fs/cgroup/unified"))
        );
    }
}
