//! Checks of a build specification before anything is built from it. A specification may come from
//! any tenant: nothing in it may name a path, an option or a command of the host.

use miosa_api::template::BuildSpec;
use serde::Serialize;

const PACKAGES_MAX: usize = 500;
const STEPS_MAX: usize = 64;
const FILES_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 1024 * 1024;
const ID_BYTES_MAX: usize = 63;
const CPU_MAX: u32 = 64;
const MEMORY_MIB: std::ops::RangeInclusive<u32> = 64..=1024 * 1024;
const DISK_MIB: std::ops::RangeInclusive<u32> = 64..=4 * 1024 * 1024;

/// One thing that is wrong with a specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Field it is about.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// Where a template starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base<'a> {
    /// A Debian suite, bootstrapped.
    Debian(&'a str),
    /// An image of a registry.
    Oci(&'a str),
    /// Another template.
    Template(&'a str),
}

/// Reads `from`; `None` when it is none of the three forms.
#[must_use]
pub fn base(from: &str) -> Option<Base<'_>> {
    let (kind, rest) = from.split_once(':')?;
    match kind {
        "debian" if is_word(rest, b"-") => Some(Base::Debian(rest)),
        "oci" if is_reference(rest) => Some(Base::Oci(rest)),
        "template" if is_id(rest) => Some(Base::Template(rest)),
        _ => None,
    }
}

/// Whether this can be a template's id: lower case letters, digits and inner dashes.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() <= ID_BYTES_MAX && is_word(text, b"-.")
}

/// Everything that is wrong with a specification; empty when it can be built.
#[must_use]
pub fn problems(spec: &BuildSpec) -> Vec<Problem> {
    let mut found = Found(Vec::new());
    check_base(spec, &mut found);
    check_packages(spec, &mut found);
    check_steps_and_files(spec, &mut found);
    check_environment(spec, &mut found);
    check_sizes(spec, &mut found);
    found.0
}

struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            message: message.into(),
        });
    }
}

fn check_base(spec: &BuildSpec, found: &mut Found) {
    if base(&spec.from).is_none() {
        found.add(
            "from",
            "must be debian:<suite>, oci:<reference> or template:<id>",
        );
    }
}

fn check_packages(spec: &BuildSpec, found: &mut Found) {
    let bootstrapped = matches!(base(&spec.from), Some(Base::Debian(_)));
    if !spec.packages.is_empty() && !bootstrapped {
        found.add(
            "packages",
            "only a debian: base takes packages; install others in a step",
        );
    }
    if spec.packages.len() > PACKAGES_MAX {
        found.add("packages", format!("more than {PACKAGES_MAX}"));
    }
    for package in spec
        .packages
        .iter()
        .filter(|package| !is_word(package, b"+-."))
    {
        found.add(
            "packages",
            format!("{package:?} is not the name of a Debian package"),
        );
    }
}

fn check_steps_and_files(spec: &BuildSpec, found: &mut Found) {
    if spec.steps.len() > STEPS_MAX {
        found.add("steps", format!("more than {STEPS_MAX}"));
    }
    for (at, step) in spec.steps.iter().enumerate() {
        if step.run.trim().is_empty() || step.run.len() > TEXT_BYTES_MAX || step.run.contains('\0')
        {
            found.add(
                format!("steps[{at}].run"),
                "is empty, too long or has a NUL",
            );
        }
    }
    if spec.files.len() > FILES_MAX {
        found.add("files", format!("more than {FILES_MAX}"));
    }
    for (path, text) in &spec.files {
        if !is_path(path) || path.ends_with('/') {
            found.add(
                "files",
                format!("{path:?} is not an absolute path without dot segments"),
            );
        }
        if text.len() > TEXT_BYTES_MAX {
            found.add(
                "files",
                format!("{path:?} is longer than {TEXT_BYTES_MAX} bytes"),
            );
        }
    }
}

fn check_environment(spec: &BuildSpec, found: &mut Found) {
    for (name, value) in &spec.env {
        let mut bytes = name.bytes();
        let starts_well = bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !starts_well || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            found.add("env", format!("{name:?} is not the name of a variable"));
        }
        if value.contains('\0') {
            found.add("env", format!("the value of {name:?} has a NUL"));
        }
    }
    if !spec.workdir.is_empty() && !is_path(&spec.workdir) {
        found.add("workdir", "is not an absolute path without dot segments");
    }
    for host in spec.hosts.iter().filter(|host| !is_host(host)) {
        found.add(
            "hosts",
            format!("{host:?} is neither a host name nor *.<name>"),
        );
    }
}

fn check_sizes(spec: &BuildSpec, found: &mut Found) {
    if spec.preview_port == Some(0) {
        found.add("previewPort", "is 0");
    }
    if spec.vcpu.is_some_and(|count| count == 0 || count > CPU_MAX) {
        found.add("vcpu", format!("is not between 1 and {CPU_MAX}"));
    }
    if spec
        .memory_mib
        .is_some_and(|size| !MEMORY_MIB.contains(&size))
    {
        found.add("memoryMib", format!("is not in {MEMORY_MIB:?}"));
    }
    if spec.disk_mib.is_some_and(|size| !DISK_MIB.contains(&size)) {
        found.add("diskMib", format!("is not in {DISK_MIB:?}"));
    }
}

fn is_word(text: &str, inner: &[u8]) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.bytes().next().is_some_and(is_plain)
        && text.bytes().all(|b| is_plain(b) || inner.contains(&b))
}

fn is_reference(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b);
    text.bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric())
        && text.bytes().all(allowed)
}

fn is_path(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('/') else {
        return false;
    };
    text.len() <= miosa_api::limits::PATH_BYTES_MAX
        && !text.contains('\0')
        && !rest.split('/').any(|part| part == "." || part == "..")
}

fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    name.contains('.')
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && label
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use miosa_api::template::{BuildSpec, BuildStep};

    use super::{Base, base, problems};

    fn good() -> BuildSpec {
        BuildSpec {
            from: "debian:bookworm".into(),
            workdir: "/workspace".into(),
            ..BuildSpec::default()
        }
    }

    #[test]
    fn bases_are_read_and_options_in_disguise_are_not() {
        assert_eq!(base("debian:bookworm"), Some(Base::Debian("bookworm")));
        assert_eq!(
            base("oci:docker.io/library/alpine:3.20"),
            Some(Base::Oci("docker.io/library/alpine:3.20"))
        );
        assert_eq!(
            base("template:miosa-sandbox"),
            Some(Base::Template("miosa-sandbox"))
        );
        for bad in [
            "",
            "bookworm",
            "debian:",
            "debian:--hook",
            "debian:a b",
            "oci:-x",
            "oci:a b",
            "template:../x",
        ] {
            assert_eq!(base(bad), None, "{bad}");
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of one case a line or more")]
    fn each_bad_field_is_named() {
        let cases: Vec<(&str, BuildSpec)> = vec![
            (
                "from",
                BuildSpec {
                    from: "x".into(),
                    ..good()
                },
            ),
            (
                "packages",
                BuildSpec {
                    packages: vec!["--setup-hook=id".into()],
                    ..good()
                },
            ),
            (
                "packages",
                BuildSpec {
                    packages: vec!["a,b".into()],
                    ..good()
                },
            ),
            (
                "steps[0].run",
                BuildSpec {
                    steps: vec![BuildStep { run: " ".into() }],
                    ..good()
                },
            ),
            (
                "files",
                BuildSpec {
                    files: [("/a/../b".into(), String::new())].into(),
                    ..good()
                },
            ),
            (
                "files",
                BuildSpec {
                    files: [("a".into(), String::new())].into(),
                    ..good()
                },
            ),
            (
                "env",
                BuildSpec {
                    env: [("A=B".into(), String::new())].into(),
                    ..good()
                },
            ),
            (
                "workdir",
                BuildSpec {
                    workdir: "workspace".into(),
                    ..good()
                },
            ),
            (
                "hosts",
                BuildSpec {
                    hosts: vec!["*".into()],
                    ..good()
                },
            ),
            (
                "hosts",
                BuildSpec {
                    hosts: vec!["http://x.y".into()],
                    ..good()
                },
            ),
            (
                "previewPort",
                BuildSpec {
                    preview_port: Some(0),
                    ..good()
                },
            ),
            (
                "vcpu",
                BuildSpec {
                    vcpu: Some(0),
                    ..good()
                },
            ),
            (
                "memoryMib",
                BuildSpec {
                    memory_mib: Some(1),
                    ..good()
                },
            ),
        ];
        assert_eq!(problems(&good()), []);
        for (field, spec) in cases {
            let found = problems(&spec);
            assert_eq!(found.len(), 1, "{field}: {found:?}");
            assert_eq!(found[0].field, field);
        }
    }
}
