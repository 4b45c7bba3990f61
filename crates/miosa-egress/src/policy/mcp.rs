//! The MCP server behind a binding, compiled.

use std::sync::Arc;

use http::Uri;
use miosa_api::mcp::{McpEndpoint, McpPolicy};

use super::host::{Destination, Host};
use super::path::PathPattern;

/// Where MCP is spoken, and by which rules.
#[derive(Debug)]
pub(crate) struct McpServer {
    host: Host,
    port: u16,
    paths: Vec<PathPattern>,
    policies: Arc<[McpPolicy]>,
}

impl McpServer {
    pub fn compile(endpoint: &McpEndpoint) -> Option<Self> {
        let uri: Uri = endpoint.url.parse().ok()?;
        let is_sound = endpoint
            .policies
            .iter()
            .all(|policy| policy.fault().is_none());
        (uri.scheme_str() == Some("https") && is_sound).then_some(())?;
        let paths: Option<Vec<_>> = endpoint
            .paths
            .iter()
            .map(|path| PathPattern::parse(path))
            .collect();
        let paths = paths?;
        // Rules that are not about the server's own address would be none.
        let is_covered = paths.is_empty() || paths.iter().any(|path| path.matches(uri.path()));
        is_covered.then_some(())?;
        Some(Self {
            host: Host::parse(uri.host()?)?,
            port: uri.port_u16().unwrap_or(443),
            paths,
            policies: endpoint.policies.clone().into(),
        })
    }

    /// Whether it is on this host and port.
    pub fn is_at(&self, to: &Destination) -> bool {
        self.host == to.host && self.port == to.port
    }

    /// Whether MCP may be spoken at this path: where servers differ in what they take for the same path, it is.
    pub fn speaks_at(&self, to: &Destination, path: &str) -> bool {
        let is_path = self.paths.is_empty() || self.paths.iter().any(|it| it.may_match(path));
        self.is_at(to) && is_path
    }

    /// Whether anything decides on its messages.
    pub fn has_rules(&self) -> bool {
        !self.policies.is_empty()
    }

    /// What decides.
    pub fn policies(&self) -> Arc<[McpPolicy]> {
        Arc::clone(&self.policies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_the_path_escapes_the_rules() {
        let endpoint = McpEndpoint {
            url: "https://api.test/mcp/v1".to_owned(),
            paths: vec!["/mcp/*".to_owned()],
            policies: Vec::new(),
        };
        let server = McpServer::compile(&endpoint).expect("a server");
        let to = Destination {
            host: Host::parse("api.test").expect("a host"),
            port: 443,
            tls: true,
        };
        for path in ["/mcp/v1", "/%6dcp/v1", "/MCP/v1", "/mcp/v1/", "/m%43p/x"] {
            assert!(server.speaks_at(&to, path), "{path}");
        }
        for path in ["/mcp", "/mcp/v1/x", "/mcps/v1", "/"] {
            assert!(!server.speaks_at(&to, path), "{path}");
        }
    }

    #[test]
    fn a_slash_at_the_end_is_one_more_spelling_in_either() {
        let to = Destination {
            host: Host::parse("api.test").expect("a host"),
            port: 443,
            tls: true,
        };
        for (pattern, path) in [
            ("/", "/"),
            ("/**", "/"),
            ("/mcp/", "/mcp/"),
            ("/mcp/", "/mcp"),
            ("/mcp", "/mcp/"),
        ] {
            let endpoint = McpEndpoint {
                url: format!("https://api.test{}", pattern.trim_end_matches("**")),
                paths: vec![pattern.to_owned()],
                policies: Vec::new(),
            };
            let server = McpServer::compile(&endpoint).expect("a server");
            assert!(server.speaks_at(&to, path), "{pattern} {path}");
        }
    }
}
