//! The server's configuration: plain data from one TOML file, unknown keys are errors.
//!
//! The same file configures the egress broker (`miosa egress --config <file>`); the server keeps
//! the `[egress]` table as it is, hands the file's path on, and never reads the opening key.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Everything an operator can set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address of the API; port 0 takes a free one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// How callers reach the API; made from the bound address when absent.
    #[serde(default)]
    pub public_url: Option<String>,
    /// Previews are served at `<port>-<slug>.sandbox.<preview_domain>`.
    #[serde(default = "default_preview_domain")]
    pub preview_domain: String,
    /// Folder for everything that lasts: database, disks, templates, audit.
    pub data_dir: PathBuf,
    /// Folder for sockets and state of what runs; a short path on a local file system.
    pub run_dir: PathBuf,
    /// Database URL; SQLite in `data_dir` when absent.
    #[serde(default)]
    pub database: Option<String>,
    /// File with the public half of the vault's key.
    pub sealing_key: PathBuf,
    /// Folder with more connector definitions.
    #[serde(default)]
    pub connectors_dir: Option<PathBuf>,
    /// Folder with more template definitions.
    #[serde(default)]
    pub templates_dir: Option<PathBuf>,
    /// The host's trust bundle, to which each sandbox's own CA is added.
    #[serde(default = "default_ca_bundle")]
    pub host_ca_bundle: PathBuf,
    /// Settings of template builds.
    #[serde(default)]
    pub build: BuildConfig,
    /// The broker's settings.
    pub egress: EgressConfig,
}

/// Settings of template builds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildConfig {
    /// More variables of every build step, such as a registry's address.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// The broker's settings. The server reads `audit_file` alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressConfig {
    /// File with the private half of the vault's key. Only the broker opens it.
    pub opening_key: PathBuf,
    /// Where audit events are appended; `data_dir/audit/egress.jsonl` when absent.
    #[serde(default)]
    pub audit_file: Option<PathBuf>,
    /// Addresses of names (`host` or `host:port`) the broker shall not resolve.
    #[serde(default)]
    pub static_hosts: BTreeMap<String, SocketAddr>,
    /// DNS servers the broker asks instead of the host's own.
    #[serde(default)]
    pub resolvers: Vec<SocketAddr>,
    /// PEM files with more authorities for upstream certificates.
    #[serde(default)]
    pub extra_upstream_ca: Vec<PathBuf>,
    /// Private address ranges that sandboxes may reach all the same.
    #[serde(default)]
    pub allowed_ranges: Vec<ipnet::IpNet>,
    /// User the broker becomes once its sockets and its key are open.
    #[serde(default)]
    pub drop_to_uid: Option<u32>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("the configuration file could not be read")]
    Read(#[source] std::io::Error),
    /// The text is not TOML of this shape.
    #[error("the configuration in {path} is not valid: {why}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser says, with line and key.
        why: String,
    },
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs_err::read_to_string(path).map_err(ConfigError::Read)?;
        toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            why: error.to_string(),
        })
    }

    /// The database's URL.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.database.clone().unwrap_or_else(|| {
            let file = self.data_dir.join("miosa.db");
            format!("sqlite://{}?mode=rwc", file.display())
        })
    }

    /// The broker's audit file.
    #[must_use]
    pub fn audit_file(&self) -> PathBuf {
        self.egress
            .audit_file
            .clone()
            .unwrap_or_else(|| self.data_dir.join("audit").join("egress.jsonl"))
    }
}

const fn default_listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7420)
}

fn default_preview_domain() -> String {
    "localhost".to_owned()
}

fn default_ca_bundle() -> PathBuf {
    PathBuf::from("/etc/ssl/certs/ca-certificates.crt")
}

#[cfg(test)]
mod tests {
    use super::Config;

    const SMALLEST: &str = r#"
        data_dir = "/d"
        run_dir = "/r"
        sealing_key = "/k/seal.pub"
        [egress]
        opening_key = "/k/open.key"
    "#;

    fn parse(text: &str) -> Result<Config, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn the_smallest_configuration_has_every_default() {
        let config = parse(SMALLEST).expect("parses");
        assert_eq!(config.listen.to_string(), "127.0.0.1:7420");
        assert_eq!(config.preview_domain, "localhost");
        assert_eq!(config.database_url(), "sqlite:///d/miosa.db?mode=rwc");
        assert_eq!(config.audit_file().to_str(), Some("/d/audit/egress.jsonl"));
    }

    #[test]
    fn a_misspelt_key_is_an_error_in_every_table() {
        for extra in ["listne = \"x\"\n", "[build]\nenvs = {}\n"] {
            let text = format!("{extra}{SMALLEST}");
            assert!(parse(&text).is_err(), "{extra}");
        }
        assert!(parse(&format!("{SMALLEST}\nopening = 1")).is_err());
    }
}
