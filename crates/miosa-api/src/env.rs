//! Environment variables: names that may carry a connector, and rows of `GET …/env`.

use serde::{Deserialize, Serialize};

/// A row of `GET /sandboxes/{id}/env`. The value itself is never listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnvVar {
    /// The variable's name.
    pub name: String,
    /// First and last characters of the value, the rest as dots.
    pub preview: String,
    /// When it was set last (RFC 3339).
    pub updated_at: String,
}

/// Body of `PUT /sandboxes/{id}/env`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnvPut {
    /// Variables to set; others stay.
    pub vars: Vec<EnvPair>,
}

/// One variable with its value.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EnvPair {
    /// The variable's name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Names that steer loaders, shells, proxies or trust: never a connector's variable.
const REFUSED: &[&str] = &[
    "PATH",
    "HOME",
    "SHELL",
    "USER",
    "LOGNAME",
    "PWD",
    "IFS",
    "ENV",
    "BASH_ENV",
    "PS4",
    "TERM",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_EXTRA_CA_CERTS",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "CLASSPATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_SSL_CAINFO",
    "GIT_EXEC_PATH",
    "GIT_PROXY_COMMAND",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "TMPDIR",
    "PIP_CERT",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "RUSTC_WRAPPER",
    "IS_SANDBOX",
];
/// Beginnings that do the same.
const REFUSED_PREFIXES: &[&str] = &[
    "LD_",
    "DYLD_",
    "GCONV_",
    "GLIBC_",
    "MALLOC_",
    "NPM_CONFIG_",
    "GIT_CONFIG",
    "MIOSA_",
];

/// Why a name cannot carry a connector's placeholder; `None` if it can.
///
/// Source: catalogue row 122 (loader, shell, proxy and trust variables), POSIX.1-2017 8.1 (names).
#[must_use]
pub fn refused_connector_env_name(name: &str) -> Option<&'static str> {
    let mut letters = name.chars();
    let well_formed = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.len() <= 128;
    if !well_formed {
        return Some(
            "a name is letters, digits and `_`, does not start with a digit, and has at most 128 characters",
        );
    }
    let upper = name.to_ascii_uppercase();
    if REFUSED.contains(&upper.as_str()) || REFUSED_PREFIXES.iter().any(|p| upper.starts_with(p)) {
        return Some("this name changes how programs load, resolve, connect or trust");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::refused_connector_env_name;

    #[test]
    fn loader_and_proxy_names_are_refused_and_ordinary_ones_are_not() {
        for bad in [
            "LD_PRELOAD",
            "PATH",
            "https_proxy",
            "NODE_OPTIONS",
            "1X",
            "A-B",
            "",
            "npm_config_x",
        ] {
            assert!(refused_connector_env_name(bad).is_some(), "{bad}");
        }
        for good in ["REFERO_MCP_TOKEN", "ANTHROPIC_API_KEY", "GH_TOKEN", "_x1"] {
            assert!(refused_connector_env_name(good).is_none(), "{good}");
        }
    }
}
