//! Templates: build specification as data, and the item that is listed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a template is made. Files shipped in `templates/*.toml` have this shape.
///
/// Field names are the contract's (camelCase) with snake_case accepted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildSpec {
    /// Base: `debian:<suite>` (bootstrapped), `template:<id>` (its layers below), or `oci:<reference>`.
    pub from: String,
    /// Debian packages of a bootstrapped base.
    pub packages: Vec<String>,
    /// Commands run in order inside a confined sandbox over the base.
    pub steps: Vec<BuildStep>,
    /// Files written before the steps (path to text), and kept.
    pub files: BTreeMap<String, String>,
    /// Variables of every command.
    pub env: BTreeMap<String, String>,
    /// Working directory of every command.
    pub workdir: String,
    /// Installs the application's dependencies.
    #[serde(alias = "install_command")]
    pub install_command: Option<String>,
    /// Starts the application (`--auto-start`).
    #[serde(alias = "startCommand", alias = "start_cmd")]
    pub start_cmd: Option<String>,
    /// Exits 0 when the application is ready.
    #[serde(alias = "ready_cmd")]
    pub ready_cmd: Option<String>,
    /// Port of the application.
    #[serde(alias = "preview_port")]
    pub preview_port: Option<u16>,
    /// Hosts that sandboxes of this template need under `deny-all`, and its build may reach.
    pub hosts: Vec<String>,
    /// Virtual CPUs by default.
    #[serde(alias = "cpu")]
    pub vcpu: Option<u32>,
    /// Memory in MiB by default.
    #[serde(alias = "memory_mib")]
    pub memory_mib: Option<u32>,
    /// Disk in MiB by default.
    #[serde(alias = "disk_mib")]
    pub disk_mib: Option<u32>,
}

/// One build step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BuildStep {
    /// Text for the shell.
    pub run: String,
}

/// A template as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Template {
    /// Its id, e.g. `nextjs`.
    pub id: String,
    /// For people.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Hash of all that went into it.
    pub image_id: String,
    /// Whether it is the default.
    pub default: bool,
    /// Whether it is shipped.
    pub built_in: bool,
    /// `ready`, `building`, `not_built` or `failed`.
    pub status: String,
    /// Why, when failed.
    pub error: Option<String>,
    /// Runtimes it works in.
    pub runtimes: Vec<String>,
    /// Working directory.
    pub workdir: String,
    /// Port of its application.
    pub preview_port: Option<u16>,
    /// Installs the application's dependencies.
    pub install_command: Option<String>,
    /// Starts the application.
    pub start_command: Option<String>,
    /// Hosts it needs.
    pub hosts: Vec<String>,
    /// Default virtual CPUs.
    pub default_cpu: u32,
    /// Default memory in MiB.
    pub default_memory_mb: u32,
    /// Default disk in MiB.
    pub disk_mb: u32,
    /// Bytes on disk, once built.
    pub size_bytes: Option<u64>,
}
