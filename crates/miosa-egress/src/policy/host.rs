//! Where a request goes: host, port and whether TLS. One spelling for each host.

use std::fmt;
use std::net::IpAddr;

/// A host in its one spelling: lower case, A-labels, no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name.
    Name(String),
    /// An address literal; an IPv4-mapped one is IPv4.
    Address(IpAddr),
}

/// What a connection is for: the TLS server name (or, in cleartext, the name its address stands for).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Host.
    pub host: Host,
    /// Port.
    pub port: u16,
    /// Whether over TLS.
    pub tls: bool,
}

impl Host {
    /// Reads a host as a server name, `Host` header or rule has it. `None` for anything that is not
    /// plainly a name in A-labels or an address in its usual spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        is_name(&name).then_some(Self::Name(name))
    }

    /// The name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Destination {
    /// The port that need not be written.
    #[must_use]
    pub const fn default_port(tls: bool) -> u16 {
        if tls { 443 } else { 80 }
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// Host and port as a `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.port == Self::default_port(self.tls) {
            return self.host.to_string();
        }
        format!("{}:{}", self.host, self.port)
    }

    /// Whether a `Host` header or `:authority` names exactly this. `None` when it is not readable.
    #[must_use]
    pub fn is_named_by(&self, authority: &str) -> Option<bool> {
        let (host, port) = split_port(authority)?;
        let port = port.unwrap_or(Self::default_port(self.tls));
        Some(Host::parse(host)? == self.host && port == self.port)
    }
}

/// Splits what names a host, and perhaps a port, in a plain number.
pub(crate) fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_end = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[host_end..].find(':') else {
        return Some((authority, None));
    };
    let (host, port) = authority.split_at(host_end + colon);
    let port = &port[1..];
    let plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    if !plain {
        return None;
    }
    Some((host, Some(port.parse().ok()?)))
}

fn is_name(name: &str) -> bool {
    let labels_are_fine = name.split('.').all(is_label);
    // A name whose last label is a number is an address to some parsers (0x7f.1, 2130706433).
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    name.len() <= 253 && labels_are_fine && !is_number
}

fn is_label(label: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=63).contains(&label.len())
        && label.bytes().all(fine)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Host {
        Host::Name(text.to_owned())
    }

    #[test]
    fn row_012_one_spelling_for_each_host() {
        for text in ["api.example.com", "API.Example.COM", "api.example.com."] {
            assert_eq!(Host::parse(text), Some(name("api.example.com")), "{text}");
        }
        let to = Destination {
            host: name("a.test"),
            port: 443,
            tls: true,
        };
        for (authority, expected) in [
            ("a.test", Some(true)),
            ("A.TEST.:443", Some(true)),
            ("a.test:8443", Some(false)),
            ("b.test", Some(false)),
            ("a.test:0443", None),
            ("a.test:", Some(false)),
            ("a.test:+443", None),
            ("a.test:443:443", None),
            ("a.test:99999", None),
            ("", None),
        ] {
            let expected = if authority == "a.test:" {
                None
            } else {
                expected
            };
            assert_eq!(to.is_named_by(authority), expected, "{authority}");
        }
    }

    #[test]
    fn rows_013_014_015_what_is_not_plainly_a_host_is_refused() {
        for text in [
            "bücher.example",
            "a。b",
            "a\0b",
            "a b",
            "a@b",
            "a/b",
            "a\\b",
            "a#b",
            "a?b",
            "-a.test",
            "a..b",
            "..",
            ".",
            "a-",
            "evil.tld\0.example.com",
            "a\u{200d}b.test",
            "*.test",
            "[::1",
            "::1]",
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn row_029_addresses_in_disguise_are_no_names() {
        for text in [
            "2130706433",
            "0x7f000001",
            "127.1",
            "0177.0.0.1",
            "1.2.3.0x4",
            "256.1.1.1",
            "a.1",
        ] {
            assert_eq!(Host::parse(text), None, "{text}");
        }
        let mapped = Host::parse("::ffff:169.254.169.254");
        assert_eq!(mapped, Host::parse("169.254.169.254"));
        assert_eq!(Host::parse("[::1]"), Host::parse("::1"));
    }
}
