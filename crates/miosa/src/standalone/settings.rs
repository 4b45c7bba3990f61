//! The file's shape. Unknown keys are errors, in every table.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use miosa_api::broker::{Effect, PolicyMode, Rule};
use miosa_egress::{At, SourceError};
use serde::Deserialize;

/// What a listener's name may be: part of a path and of the audit.
const NAME_BYTES_MAX: usize = 32;
/// Who may connect to a socket when nothing is said: its owner alone.
const SOCKET_MODE: u32 = 0o600;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// File with the key that opens, of `miosa keys generate`.
    pub opening_key: PathBuf,
    /// File the audit is appended to.
    pub audit_file: PathBuf,
    /// Folder that gets a folder for each listener, with what its callers need.
    pub client_dir: PathBuf,
    /// Folder with more connector definitions.
    pub connectors_dir: Option<PathBuf>,
    /// Authorities of the host, to which the listener's own is added for its callers.
    #[serde(default = "default_ca_bundle")]
    pub host_ca_bundle: PathBuf,
    /// As in the server's `[egress]`.
    #[serde(default)]
    pub static_hosts: BTreeMap<String, SocketAddr>,
    /// As in the server's `[egress]`.
    #[serde(default)]
    pub resolvers: Vec<SocketAddr>,
    /// As in the server's `[egress]`.
    #[serde(default)]
    pub extra_upstream_ca: Vec<PathBuf>,
    /// As in the server's `[egress]`.
    #[serde(default)]
    pub allowed_ranges: Vec<IpNet>,
    /// Who may call.
    pub listeners: Vec<ListenerEntry>,
}

fn default_ca_bundle() -> PathBuf {
    PathBuf::from("/etc/ssl/certs/ca-certificates.crt")
}

/// One listener.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerEntry {
    /// For the audit, and name of its folder.
    pub name: String,
    /// `127.0.0.1:3128`, or `unix:/run/miosa/agent.sock`.
    pub listen: String,
    /// Who may connect to a Unix socket.
    pub socket_mode: Option<u32>,
    /// An address that is not loopback, on purpose.
    #[serde(default)]
    pub exposed: bool,
    /// What happens to hosts without a rule.
    #[serde(default = "enforce")]
    pub mode: PolicyMode,
    /// Rules; deny beats allow.
    #[serde(default)]
    pub rules: Vec<RuleEntry>,
    /// Credentials.
    #[serde(default)]
    pub bindings: Vec<BindingEntry>,
}

const fn enforce() -> PolicyMode {
    PolicyMode::Enforce
}

/// One rule, as `miosa sandbox network allow` makes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleEntry {
    host: String,
    effect: Effect,
    #[serde(default)]
    methods: Vec<String>,
    path: Option<String>,
}

/// One credential.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingEntry {
    /// Provider of a definition, or the uid of a managed one.
    pub connector: String,
    /// Variable for the placeholder; the definition's when absent.
    pub env: Option<String>,
    /// File with the value.
    pub value_file: Option<PathBuf>,
    /// Variable of the broker's own environment with the value.
    pub value_env: Option<String>,
}

impl Settings {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, SourceError> {
        let text = fs_err::read_to_string(path)?;
        let settings: Self =
            toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        settings.check()?;
        Ok(settings)
    }

    /// The broker's own part.
    pub fn broker(&self) -> miosa_egress::Config {
        miosa_egress::Config {
            run_dir: PathBuf::new(),
            opening_key: self.opening_key.clone(),
            audit_file: self.audit_file.clone(),
            static_hosts: self.static_hosts.clone(),
            resolvers: self.resolvers.clone(),
            extra_upstream_ca: self.extra_upstream_ca.clone(),
            allowed_ranges: self.allowed_ranges.clone(),
            drop_to_uid: None,
        }
    }

    fn check(&self) -> Result<(), SourceError> {
        if self.listeners.is_empty() {
            return Err("`listeners` is empty: nobody could call".into());
        }
        let is_plain =
            |character: char| !character.is_whitespace() && !"\"'$\\`#".contains(character);
        let folder = self.client_dir.to_str().unwrap_or("\\");
        if !self.client_dir.is_absolute() || !folder.chars().all(is_plain) {
            return Err("`client_dir` is an absolute path without spaces and quotes: it stands in a file of variables".into());
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            listener.check_name()?;
            if self.listeners[..index]
                .iter()
                .any(|other| other.name == listener.name)
            {
                return Err(format!("two listeners are named `{}`", listener.name).into());
            }
        }
        Ok(())
    }
}

impl ListenerEntry {
    fn check_name(&self) -> Result<(), SourceError> {
        let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let name = &self.name;
        if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_part) {
            return Ok(());
        }
        Err(format!("the listener's name {name:?} is not 1 to {NAME_BYTES_MAX} lower-case letters, digits and `-`").into())
    }

    /// Where it listens.
    pub fn at(&self) -> Result<At, SourceError> {
        let wrong = |why: &str| SourceError::from(format!("`listen` of `{}`: {why}", self.name));
        if let Some(path) = self.listen.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            if !path.is_absolute() {
                return Err(wrong("the path of a socket is absolute"));
            }
            let mode = self.socket_mode.unwrap_or(SOCKET_MODE);
            return Ok(At::Unix { path, mode });
        }
        let address: SocketAddr = self
            .listen
            .parse()
            .map_err(|_| wrong("neither `address:port` nor `unix:/path`"))?;
        if !address.ip().is_loopback() && !self.exposed {
            return Err(wrong(
                "whoever reaches this address may use its credentials; if that is meant, add `exposed = true`",
            ));
        }
        if self.socket_mode.is_some() {
            return Err(wrong("only a Unix socket has a `socket_mode`"));
        }
        Ok(At::Tcp(address))
    }

    /// Its rules, numbered from 1.
    pub fn rules(&self) -> Vec<Rule> {
        let rules = self.rules.iter().enumerate();
        rules
            .map(|(index, rule)| Rule {
                id: format!("rule:{}", index + 1),
                policy_id: None,
                host: rule.host.clone(),
                effect: rule.effect,
                methods: rule.methods.clone(),
                path: rule.path.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "opening_key = '/k'\naudit_file = '/a'\nclient_dir = '/c'\n";

    fn load(listener: &str) -> Result<Settings, String> {
        let settings: Settings = toml::from_str(&format!("{HEAD}[[listeners]]\n{listener}"))
            .map_err(|error| error.message().to_owned())?;
        settings.check().map_err(|error| error.to_string())?;
        settings.listeners[0]
            .at()
            .map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn the_settings_of_the_page_are_read_and_are_all_there_are() {
        let page = include_str!("../../../../docs/standalone.md");
        let shown = page.split("```toml").nth(1).unwrap();
        let shown = shown.split("```").next().unwrap();
        let settings: Settings = toml::from_str(shown).unwrap();
        settings.check().unwrap();
        for listener in &settings.listeners {
            listener.at().unwrap();
        }
        // serde names every key where it meets one that is none.
        for table in [
            "",
            "[[listeners]]\n",
            "[[listeners]]\n[[listeners.bindings]]\n",
        ] {
            let error = toml::from_str::<Settings>(&format!("{table}none = 1"))
                .err()
                .unwrap();
            let keys = error.message().split("expected one of").nth(1).unwrap();
            for key in keys.split('`').skip(1).step_by(2) {
                let is_shown = shown.lines().any(|line| {
                    line.starts_with(&format!("{key} = "))
                        || line == format!("[[{key}]]")
                        || line == format!("[[listeners.{key}]]")
                });
                assert!(is_shown, "{key}");
            }
        }
    }

    #[test]
    fn the_smallest_listener_is_closed() {
        let settings = load("name = 'agent'\nlisten = '127.0.0.1:3128'").unwrap();
        assert_eq!(settings.listeners[0].mode, PolicyMode::Enforce);
        let socket = load("name = 'agent'\nlisten = 'unix:/s'").unwrap();
        let at = socket.listeners[0].at().unwrap();
        assert_eq!(
            at,
            At::Unix {
                path: "/s".into(),
                mode: 0o600
            }
        );
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for (listener, expected) in [
            ("name = 'a'\nlisten = '0.0.0.0:3128'", "exposed = true"),
            (
                "name = 'a'\nlisten = '[2001:db8::1]:3128'",
                "exposed = true",
            ),
            ("name = 'a'\nlisten = 'localhost:3128'", "neither"),
            ("name = 'a'\nlisten = 'unix:s'", "absolute"),
            (
                "name = 'a'\nlisten = '127.0.0.1:1'\nsocket_mode = 0o666",
                "only a Unix socket",
            ),
            ("name = '../a'\nlisten = '127.0.0.1:1'", "name"),
            ("name = ''\nlisten = '127.0.0.1:1'", "name"),
            (
                "name = 'a'\nlisten = '127.0.0.1:1'\nmode = 'open'",
                "unknown variant",
            ),
            (
                "name = 'a'\nlisten = '127.0.0.1:1'\nvalue = 'x'",
                "unknown field",
            ),
            (
                "name = 'a'\nlisten = '127.0.0.1:1'\n[[listeners.bindings]]\nconnector = 'x'\nvalue = 'y'",
                "unknown field",
            ),
            (
                "name = 'a'\nlisten = '127.0.0.1:1'\n[[listeners]]\nname = 'a'\nlisten = '127.0.0.1:2'",
                "two listeners",
            ),
        ] {
            let error = load(listener).err().unwrap_or_default();
            assert!(error.contains(expected), "{listener}: {error}");
        }
    }
}
