//! What a caller asks of the proxy, read strictly: one name and one port, or nothing.

use miosa_api::broker::RefusalCode;

use crate::dns::could_be_public;
use crate::own_refusal::own_refusal;
use crate::placeholder;
use crate::policy::{Host, split_port};
use crate::refusal::Refusal;

const HTTP_PORT: u16 = 80;

/// How the rest of the connection is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `CONNECT`: what follows is between the caller and the host.
    Tunnel,
    /// One request in clear, whole with its address.
    Plain,
}

/// A name, a port and a way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub way: Way,
    pub name: String,
    pub port: u16,
}

impl Asked {
    /// Reads the request line of a head that has one meaning (`first_head`).
    pub fn read(head: &[u8]) -> Result<Self, Refusal> {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = std::str::from_utf8(line).map_err(|_| not_a_host())?;
        let mut words = line.split(' ');
        let (method, target) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (way, authority) = if method == "CONNECT" {
            (Way::Tunnel, target)
        } else {
            (Way::Plain, authority_of(target)?)
        };
        if way == Way::Tunnel && placeholder::is_in(target.as_bytes()) {
            return Err(misplaced());
        }
        let (host, port) = split_port(authority).ok_or_else(not_a_host)?;
        let port = match way {
            Way::Tunnel => port.ok_or_else(not_a_host)?,
            Way::Plain => port.unwrap_or(HTTP_PORT),
        };
        match Host::parse(host).ok_or_else(not_a_host)? {
            Host::Name(name) if could_be_public(&name) => Ok(Self { way, name, port }),
            Host::Name(_) => Err(own_refusal(RefusalCode::UpstreamNotFound)),
            Host::Address(_) => Err(address_literal()),
        }
    }

    /// Looks at the fields of a `CONNECT`. Those of a plain request are judged with it, as in a sandbox.
    pub fn check_fields(&self, head: &[u8]) -> Result<(), Refusal> {
        if self.way == Way::Plain {
            return Ok(());
        }
        let mut hosts = 0;
        for line in head.split(|byte| *byte == b'\n').skip(1) {
            let line = line.trim_ascii_end();
            let colon = memchr::memchr(b':', line).unwrap_or(line.len());
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if placeholder::is_in(line) || placeholder::is_in(value) {
                return Err(misplaced());
            }
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            if is("host") {
                hosts += 1;
                self.check_host(value)?;
            }
            if hosts > 1 || is("transfer-encoding") || (is("content-length") && value != b"0") {
                return Err(own_refusal(RefusalCode::MalformedRequest));
            }
        }
        Ok(())
    }

    /// It is the same host, with or without its port; or the proxy itself, as simple clients have it.
    fn check_host(&self, value: &[u8]) -> Result<(), Refusal> {
        let authority = std::str::from_utf8(value).map_err(|_| not_a_host())?;
        let (host, port) = split_port(authority).ok_or_else(not_a_host)?;
        let host = Host::parse(host).ok_or_else(not_a_host)?;
        let is_proxy = !host.name().is_some_and(could_be_public);
        if is_proxy {
            return Ok(());
        }
        if host.name() == Some(&self.name) && port.is_none_or(|port| port == self.port) {
            return Ok(());
        }
        let message = "The Host header of the CONNECT is not the host it asks for.";
        let hint = "Let both name the same host and port, or leave Host out.";
        Err(Refusal::new(RefusalCode::AuthorityMismatch, message, hint))
    }
}

/// Host and port of an absolute `http` address.
fn authority_of(target: &str) -> Result<&str, Refusal> {
    let scheme = "http://";
    let is_http = target
        .get(..scheme.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !is_http {
        return Err(no_way());
    }
    let rest = &target[scheme.len()..];
    Ok(rest.split(['/', '?', '#']).next().unwrap_or_default())
}

/// Refused: neither of the two things a caller can ask.
pub fn no_way() -> Refusal {
    let message =
        "This is an HTTP proxy: it takes CONNECT, and requests with an absolute http address.";
    let hint = "Set HTTPS_PROXY and HTTP_PROXY to this address with `http://` in front, and use https URLs.";
    Refusal::new(RefusalCode::ProtocolNotAllowed, message, hint)
}

fn not_a_host() -> Refusal {
    let message = "What is asked of the proxy is not one plain host name and one port.";
    let hint = "Ask for `host:port`, the name in ASCII, without a user name in front.";
    Refusal::new(RefusalCode::MalformedRequest, message, hint)
}

fn address_literal() -> Refusal {
    let message = "The proxy was asked for an address without a name.";
    let hint = "Use the host's name: the broker looks it up itself.";
    Refusal::new(RefusalCode::AddressLiteral, message, hint)
}

fn misplaced() -> Refusal {
    let message = "A placeholder is said to the proxy itself, where no credential belongs.";
    let hint = "Send it in the request to its own host, in the place its connector has for it.";
    Refusal::new(RefusalCode::PlaceholderMisplaced, message, hint)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(head: &str) -> Result<Asked, RefusalCode> {
        let head = format!("{head}\r\n\r\n");
        let asked = Asked::read(head.as_bytes()).map_err(|refusal| refusal.code)?;
        let checked = asked.check_fields(head.as_bytes());
        checked.map_err(|refusal| refusal.code)?;
        Ok(asked)
    }

    fn asked(way: Way, name: &str, port: u16) -> Result<Asked, RefusalCode> {
        let name = name.to_owned();
        Ok(Asked { way, name, port })
    }

    proptest! {
        #[test]
        fn whatever_is_said_the_name_is_one_of_policy(target in "(http://)?[a-z@:/.\\\\#0-9\\[\\]%_-]{0,40}", rest in "[ -~\r\n]{0,60}") {
            for method in ["CONNECT", "GET"] {
                let head = format!("{method} {target} HTTP/1.1\r\n{rest}\r\n\r\n");
                if let Ok(asked) = Asked::read(head.as_bytes()) {
                    prop_assert_eq!(Host::parse(&asked.name), Some(Host::Name(asked.name.clone())));
                    prop_assert!(target.to_ascii_lowercase().contains(&asked.name));
                    prop_assert!(!target.contains('@') || asked.way == Way::Plain);
                    drop(asked.check_fields(head.as_bytes()));
                }
            }
        }
    }

    #[test]
    fn one_name_and_one_port() {
        let tunnel = |port| asked(Way::Tunnel, "api.example.com", port);
        for head in [
            "CONNECT api.example.com:443 HTTP/1.1",
            "CONNECT api.example.com:443 HTTP/1.1\r\nhost: 127.0.0.1:3128",
            "CONNECT api.example.com:443 HTTP/1.1\r\nhost: localhost:3128",
            "CONNECT API.example.com.:443 HTTP/1.0\r\nhost: api.example.com",
            "CONNECT api.example.com:443 HTTP/1.1\r\nHost: Api.Example.com:443\r\nProxy-Authorization: Basic eDp5\r\ncontent-length: 0",
        ] {
            assert_eq!(read(head), tunnel(443), "{head}");
        }
        let other = "CONNECT api.example.com:8443 HTTP/1.1\r\nhost: api.example.com";
        assert_eq!(read(other), tunnel(8443));
        for (target, port) in [
            ("http://a.example/x?y", 80),
            ("HTTP://A.example:8080", 8080),
        ] {
            let head = format!("GET {target} HTTP/1.1\r\nhost: elsewhere.example");
            assert_eq!(
                read(&head),
                asked(Way::Plain, "a.example", port),
                "{target}"
            );
        }
    }

    #[test]
    fn rows_014_015_what_is_not_plainly_that_is_refused() {
        for target in [
            "api.example.com",
            "api.example.com:",
            "api.example.com:0443",
            "api.example.com:0",
            "api.example.com:+443",
            "api.example.com:443:443",
            "api.example.com:99999",
            ":443",
            "user@api.example.com:443",
            "api.example.com@evil.example:443",
            "https://api.example.com:443",
            "api.example.com:443/",
            "api.example.com\\.evil.example:443",
            "api.example.com#.evil.example:443",
            "api.example.com\0.evil.example:443",
            "b\u{fc}cher.example:443",
            "2130706433:443",
        ] {
            let head = format!("CONNECT {target} HTTP/1.1");
            assert_eq!(read(&head), Err(RefusalCode::MalformedRequest), "{target}");
        }
        for target in [
            "http://u@a.example/",
            "http://a.example\\@b.example/",
            "http:///x",
        ] {
            let head = format!("GET {target} HTTP/1.1");
            assert_eq!(read(&head), Err(RefusalCode::MalformedRequest), "{target}");
        }
        for target in [
            "/",
            "*",
            "https://a.example/",
            "a.example:80",
            "ftp://a.example/",
        ] {
            let head = format!("GET {target} HTTP/1.1");
            assert_eq!(
                read(&head),
                Err(RefusalCode::ProtocolNotAllowed),
                "{target}"
            );
        }
        for target in ["192.0.2.1:443", "[2001:db8::1]:443", "198.18.0.5:443"] {
            let head = format!("CONNECT {target} HTTP/1.1");
            assert_eq!(read(&head), Err(RefusalCode::AddressLiteral), "{target}");
        }
        for target in ["localhost:443", "printer.local:443", "x.localhost:443"] {
            let head = format!("CONNECT {target} HTTP/1.1");
            assert_eq!(read(&head), Err(RefusalCode::UpstreamNotFound), "{target}");
        }
    }

    #[test]
    fn row_024_nothing_is_put_into_what_is_said_to_the_proxy() {
        let token = "miosa-tok-000102030405060708090a0b0c0d0e0f10111213deadbeef";
        for field in [
            format!("Proxy-Authorization: Bearer {token}"),
            "Proxy-Authorization: Basic eDptaW9zYS10b2stMDEyMw==".to_owned(),
            format!("Authorization: Bearer {token}"),
            format!("X-Any: {token}"),
            format!("{token}: x"),
        ] {
            let head = format!("CONNECT api.example.com:443 HTTP/1.1\r\n{field}");
            assert_eq!(
                read(&head),
                Err(RefusalCode::PlaceholderMisplaced),
                "{field}"
            );
        }
        let head = format!("CONNECT {token}.example.com:443 HTTP/1.1");
        assert_eq!(read(&head), Err(RefusalCode::PlaceholderMisplaced));
    }

    #[test]
    fn a_connect_names_one_host_and_has_no_body() {
        for (fields, code) in [
            ("host: other.example", RefusalCode::AuthorityMismatch),
            ("host: api.example.com:8443", RefusalCode::AuthorityMismatch),
            (
                "host: api.example.com\r\nhost: api.example.com",
                RefusalCode::MalformedRequest,
            ),
            ("host: a@api.example.com", RefusalCode::MalformedRequest),
            ("host:", RefusalCode::MalformedRequest),
            ("content-length: 5", RefusalCode::MalformedRequest),
            ("transfer-encoding: chunked", RefusalCode::MalformedRequest),
        ] {
            let head = format!("CONNECT api.example.com:443 HTTP/1.1\r\n{fields}");
            assert_eq!(read(&head), Err(code), "{fields}");
        }
    }
}
