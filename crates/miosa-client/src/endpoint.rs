//! Which server: one address, written in any of the ways the official clients accept.

use url::{Host, Url};

use crate::ClientError;

/// Path under which the API lives.
const API_PREFIX: &str = "/api/v1";

/// Root address of a miosa server, without the API prefix and without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    root: Url,
}

impl Endpoint {
    /// Reads an address with or without scheme, `/api/v1` and trailing slash.
    ///
    /// Without a scheme, loopback names get `http` and all others `https`.
    ///
    /// ```
    /// let endpoint = miosa_client::Endpoint::parse("127.0.0.1:7420/api/v1/").unwrap();
    /// assert_eq!(endpoint.as_str(), "http://127.0.0.1:7420");
    /// ```
    ///
    /// # Errors
    /// [`ClientError::Endpoint`] when it is not an `http` or `https` address of a host.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let refuse = |why: &str| ClientError::Endpoint {
            given: text.to_owned(),
            why: why.to_owned(),
        };
        let text_trimmed = text.trim();
        let with_scheme = if text_trimmed.contains("://") {
            text_trimmed.to_owned()
        } else {
            let scheme = if is_loopback_text(text_trimmed) {
                "http"
            } else {
                "https"
            };
            format!("{scheme}://{text_trimmed}")
        };
        let mut root = Url::parse(&with_scheme).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(root.scheme(), "http" | "https") {
            return Err(refuse("only http and https are spoken"));
        }
        if !root.username().is_empty() || root.password().is_some() {
            return Err(refuse("a key does not belong into an address"));
        }
        let mut path = root.path().trim_end_matches('/').to_owned();
        while let Some(shorter) = path.strip_suffix(API_PREFIX) {
            path = shorter.trim_end_matches('/').to_owned();
        }
        root.set_path(&path);
        root.set_query(None);
        root.set_fragment(None);
        Ok(Self { root })
    }

    /// The root address as text, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.root.as_str().trim_end_matches('/')
    }

    /// Whether the server is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.root.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }

    /// Host name or address of the server, as in its URL.
    #[must_use]
    pub fn host(&self) -> &str {
        self.root.host_str().unwrap_or_default()
    }

    /// Port of the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.root.port_or_known_default().unwrap_or(443)
    }

    /// Address of one route; `path` starts with a slash and is already percent-encoded.
    #[must_use]
    pub(crate) fn route(&self, path: &str) -> String {
        format!("{}{API_PREFIX}{path}", self.as_str())
    }
}

fn is_loopback_text(text: &str) -> bool {
    let host = text.split(['/', '?']).next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || name.ends_with(".localhost")
        || name.starts_with("127.")
        || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn every_spelling_of_one_server_is_the_same_endpoint() {
        for text in [
            "https://api.example.com",
            "https://api.example.com/",
            "https://api.example.com/api/v1",
            "https://api.example.com/api/v1/",
            "https://api.example.com/api/v1/api/v1",
            " api.example.com ",
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.as_str(), "https://api.example.com", "{text}");
            assert_eq!(
                endpoint.route("/sandboxes"),
                "https://api.example.com/api/v1/sandboxes"
            );
        }
    }

    #[test]
    fn a_path_before_the_prefix_is_kept() {
        let endpoint = Endpoint::parse("https://example.com/miosa/api/v1").unwrap();
        assert_eq!(endpoint.as_str(), "https://example.com/miosa");
    }

    #[test]
    fn loopback_without_a_scheme_is_plain_http() {
        for text in [
            "localhost:7420",
            "127.0.0.1:7420",
            "[::1]:7420",
            "a.localhost",
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert!(endpoint.as_str().starts_with("http://"), "{text}");
            assert!(endpoint.is_loopback(), "{text}");
        }
    }

    #[test]
    fn what_is_no_http_address_is_refused() {
        for text in ["", "ftp://x", "https://", "https://key@host", "http://a b"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
