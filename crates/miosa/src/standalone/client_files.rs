//! What a listener's callers need, in a folder of its own: `ca.pem`, `ca-bundle.pem` (with the host's authorities),
//! and `placeholders.env`, which names the proxy, the files and the placeholders.
//!
//! The last one is for its owner alone: who has a placeholder and reaches the listener may use what it stands for.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use miosa_egress::{At, Listener, SourceError};
use miosa_server::env::{TRUST_ADDED, TRUST_BUNDLE};

use super::settings::Settings;

/// Never asked of the proxy: the caller's own machine.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// Where listeners have their folders.
#[derive(Default)]
pub struct Clients {
    folder: PathBuf,
    host_ca_bundle: PathBuf,
}

impl Clients {
    /// As the settings say.
    pub fn new(settings: &Settings) -> Self {
        Self {
            folder: settings.client_dir.clone(),
            host_ca_bundle: settings.host_ca_bundle.clone(),
        }
    }

    /// Writes the files of a listener; each is whole at any moment.
    pub fn write(
        &self,
        listener: &Listener,
        address: Option<SocketAddr>,
        ca_pem: &str,
    ) -> Result<(), SourceError> {
        let folder = self.folder.join(&listener.name);
        fs_err::create_dir_all(&folder)?;
        fs_err::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        let mut bundle = fs_err::read_to_string(&self.host_ca_bundle)?;
        if !bundle.ends_with('\n') {
            bundle.push('\n');
        }
        bundle.push_str(ca_pem);
        put(&folder, "ca.pem", ca_pem, 0o644)?;
        put(&folder, "ca-bundle.pem", &bundle, 0o644)?;
        let variables = variables(&folder, listener, address);
        put(&folder, "placeholders.env", &variables, 0o600)
    }
}

/// `NAME=value` lines, without quotes: what `env`, systemd and containers read.
fn variables(folder: &Path, listener: &Listener, address: Option<SocketAddr>) -> String {
    let mut lines = Vec::new();
    let mut set = |name: &str, value: &str| lines.push(format!("{name}={value}\n"));
    if let Some(address) = address {
        let proxy = format!("http://{address}");
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            set(name, &proxy);
        }
        set("NO_PROXY", NO_PROXY);
        set("no_proxy", NO_PROXY);
        set("NODE_USE_ENV_PROXY", "1");
    } else if let At::Unix { path, .. } = &listener.at {
        set("MIOSA_PROXY_SOCKET", &path.display().to_string());
    }
    for name in TRUST_BUNDLE {
        set(name, &folder.join("ca-bundle.pem").display().to_string());
    }
    for name in TRUST_ADDED {
        set(name, &folder.join("ca.pem").display().to_string());
    }
    for (name, placeholder) in &listener.variables {
        set(name, placeholder);
    }
    lines.concat()
}

fn put(folder: &Path, name: &str, text: &str, mode: u32) -> Result<(), SourceError> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    let permissions = std::fs::Permissions::from_mode(mode);
    file.as_file().set_permissions(permissions)?;
    file.persist(folder.join(name))?;
    Ok(())
}
