//! Where the server is and who asks: flags, then environment, then `~/.miosa/config.json`.

use std::io::Write;
use std::path::{Path, PathBuf};

use miosa_client::{Client, Endpoint};
use serde_json::{Map, Value};

use crate::cli::Globals;
use crate::cli::error::{CliError, Result};

/// Endpoint without any setting.
pub const ENDPOINT_DEFAULT: &str = "https://api.miosa.ai";
/// Variables that name the endpoint, in this order.
const ENDPOINT_VARIABLES: [&str; 3] = ["MIOSA_ENDPOINT", "MIOSA_BASE_URL", "MIOSA_API_URL"];
/// Variable with the key.
const KEY_VARIABLE: &str = "MIOSA_API_KEY";

/// The folder of the user's own files: `$MIOSA_HOME`, or `~/.miosa`.
pub fn home() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(home) = set("MIOSA_HOME") {
        return Ok(PathBuf::from(home));
    }
    set("HOME")
        .map(|home| PathBuf::from(home).join(".miosa"))
        .ok_or_else(|| CliError::usage("HOME is not set").hint("set HOME or MIOSA_HOME"))
}

/// One setting and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its value.
    pub value: String,
    /// `flag`, the variable's name, the file's path or `default`.
    pub source: String,
}

/// `config.json`, as an object that keeps keys it does not know.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    entries: Map<String, Value>,
}

impl ConfigFile {
    /// Reads it; an absent one is empty.
    pub fn load() -> Result<Self> {
        Self::load_from(home()?.join("config.json"))
    }

    fn load_from(path: PathBuf) -> Result<Self> {
        let entries = match fs_err::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                CliError::user(
                    "CLI_CONFIG_ERROR",
                    format!("`{}` is not JSON", path.display()),
                )
                .why(error.to_string())
                .hint("repair it, or remove it and run `miosa login`")
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(error) => return Err(CliError::file(&error)),
        };
        Ok(Self { path, entries })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A text in it.
    pub fn get(&self, key: &str) -> Option<String> {
        match self.entries.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::String(_) | Value::Null => None,
            other => Some(other.to_string()),
        }
    }

    /// Changes a text in it; `None` removes it.
    pub fn set(&mut self, key: &str, value: Option<String>) {
        match value {
            Some(value) => self.entries.insert(key.to_owned(), Value::String(value)),
            None => self.entries.remove(key),
        };
    }

    /// Writes it back, readable by its owner alone.
    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.entries).unwrap_or_default();
        write_private(&self.path, format!("{text}\n").as_bytes())
    }
}

/// Writes a file that only its owner can read, whole or not at all. Its folder is made if absent.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs_err::create_dir_all(folder).map_err(|error| CliError::file(&error))?;
    let beside = path.with_extension(format!("{}.tmp", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs_err::rename(&beside, path)
    };
    write().map_err(|error| CliError::file(&error))
}

/// Everything that decides whom a command speaks with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server.
    pub endpoint: Setting,
    /// Whether there is a key, and where it came from. The value is in the client alone.
    pub key_source: Option<String>,
    /// First characters of the key.
    pub key_prefix: Option<String>,
    /// Tenant named by flag, variable or file.
    pub tenant: Option<String>,
    /// Workspace named by flag, variable or file.
    pub workspace: Option<String>,
    /// Region named by variable or file.
    pub region: Option<String>,
}

/// Finds the settings and makes the client.
pub fn connect(globals: &Globals) -> Result<(Settings, Client)> {
    let file = ConfigFile::load()?;
    let endpoint = find_endpoint(globals, &file);
    let key = find_key(&file);
    let settings = Settings {
        key_source: key.as_ref().map(|key| key.source.clone()),
        key_prefix: key.as_ref().map(|key| key.value.chars().take(12).collect()),
        tenant: globals
            .tenant
            .clone()
            .or_else(|| variable("MIOSA_ORGANIZATION").map(|found| found.value))
            .or_else(|| file.get("tenant"))
            .or_else(|| file.get("organization")),
        workspace: globals.workspace.clone().or_else(|| file.get("workspace")),
        region: variable("MIOSA_REGION")
            .map(|s| s.value)
            .or_else(|| file.get("region")),
        endpoint,
    };
    let client = Client::builder()
        .key(key.map(|key| key.value))
        .tenant(settings.tenant.clone())
        .workspace(settings.workspace.clone())
        .user_agent(&user_agent())
        .build(Endpoint::parse(&settings.endpoint.value)?)?;
    Ok((settings, client))
}

/// Switches on in `globals` what `config.json` switches on (`output`, `quiet`, `debug`). A file that
/// cannot be read is no error here: the command that needs it says so.
pub fn apply_defaults(globals: &mut Globals) {
    let Ok(file) = ConfigFile::load() else {
        return;
    };
    let is = |key: &str, wanted: &str| file.get(key).as_deref() == Some(wanted);
    globals.json |= is("output", "json");
    globals.quiet |= is("quiet", "true");
    globals.debug |= is("debug", "true");
}

/// A client with another key than the stored one.
pub fn client_with_key(endpoint: &str, key: Option<String>) -> Result<Client> {
    Ok(Client::builder()
        .key(key)
        .user_agent(&user_agent())
        .build(Endpoint::parse(endpoint)?)?)
}

fn user_agent() -> String {
    format!("miosa-cli/{}", env!("CARGO_PKG_VERSION"))
}

fn find_endpoint(globals: &Globals, file: &ConfigFile) -> Setting {
    let flag = globals.endpoint.clone().map(|value| Setting {
        value,
        source: "flag --endpoint".to_owned(),
    });
    flag.or_else(|| ENDPOINT_VARIABLES.iter().find_map(|name| variable(name)))
        .or_else(|| from_file(file, "endpoint"))
        .unwrap_or_else(|| Setting {
            value: ENDPOINT_DEFAULT.to_owned(),
            source: "default".to_owned(),
        })
}

/// The key and where it came from. Deliberately not `Debug`.
struct Key {
    value: String,
    source: String,
}

fn find_key(file: &ConfigFile) -> Option<Key> {
    let setting = variable(KEY_VARIABLE).or_else(|| from_file(file, "api_key"))?;
    Some(Key {
        value: setting.value,
        source: setting.source,
    })
}

fn from_file(file: &ConfigFile, key: &str) -> Option<Setting> {
    file.get(key).map(|value| Setting {
        value,
        source: file.path.display().to_string(),
    })
}

fn variable(name: &str) -> Option<Setting> {
    let value = std::env::var(name).ok()?.trim().to_owned();
    (!value.is_empty()).then(|| Setting {
        value,
        source: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::ConfigFile;

    #[test]
    fn the_file_is_private_and_keeps_what_it_does_not_know() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("config.json");
        let mut file = ConfigFile::load_from(path.clone()).unwrap();
        file.set("endpoint", Some("http://x".into()));
        file.entries
            .insert("other".into(), serde_json::json!({"a": 1}));
        file.save().unwrap();
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut again = ConfigFile::load_from(path).unwrap();
        assert_eq!(again.get("endpoint").as_deref(), Some("http://x"));
        assert_eq!(again.entries["other"]["a"], 1);
        again.set("endpoint", None);
        assert_eq!(again.get("endpoint"), None);
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs_err::write(&path, "{").unwrap();
        let error = ConfigFile::load_from(path).unwrap_err();
        assert!(error.message.contains("config.json"), "{error:?}");
    }
}
