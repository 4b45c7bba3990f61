//! What of a visitor's request reaches the application, and of its answer the visitor.
//!
//! SECURITY: the application is hostile. It never sees a preview token or a key of the platform, and
//! can set cookies for its own host alone: every preview shares a parent domain with all others.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;

/// Header that carries a preview token.
pub const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-miosa-preview-token");
/// Query parameter that carries a preview token.
pub const TOKEN_QUERY: &str = "preview_token";
/// Cookie that carries a preview token.
pub const TOKEN_COOKIE: &str = "miosa_preview";
const PLATFORM_COOKIES: &str = "miosa_";
const PLATFORM_KEYS: &str = "msk_";
const ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];
const FORWARDED: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
];

/// What is said about the visitor.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// Host with port, as the visitor wrote it.
    pub host: &'a HeaderValue,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Address, when known.
    pub address: Option<IpAddr>,
}

/// Makes a visitor's headers those for the application. `upgrade` keeps a protocol upgrade.
pub fn inward(headers: &mut HeaderMap, visitor: Visitor<'_>, upgrade: Option<&HeaderValue>) {
    strip_hop_by_hop(headers);
    for name in FORWARDED {
        headers.remove(name);
    }
    headers.remove(TOKEN_HEADER);
    let mut keys = headers.get_all(header::AUTHORIZATION).iter();
    if keys.any(is_platform_key) {
        headers.remove(header::AUTHORIZATION);
    }
    strip_platform_cookies(headers);
    headers.insert(header::HOST, visitor.host.clone());
    headers.insert("x-forwarded-host", visitor.host.clone());
    headers.insert(
        "x-forwarded-proto",
        HeaderValue::from_static(visitor.scheme),
    );
    let address = visitor
        .address
        .and_then(|address| HeaderValue::from_str(&address.to_string()).ok());
    if let Some(address) = address {
        headers.insert("x-forwarded-for", address);
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
}

/// Makes the application's headers those for the visitor.
pub fn outward(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    strip_hop_by_hop(headers);
    let cookies: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(own_cookie)
        .collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    headers.insert(ROBOTS, HeaderValue::from_static("noindex"));
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol.clone());
    }
}

/// Whether a request is not from the page of another host. Browsers send a visitor's cookie along from
/// every preview, since all of them are one site; `Origin` says which page it really was.
pub fn is_of_own_page(headers: &HeaderMap, scheme: &str, host: &HeaderValue) -> bool {
    let own = [scheme.as_bytes(), b"://", host.as_bytes()].concat();
    let mut origins = headers.get_all(header::ORIGIN).iter();
    origins.all(|origin| origin.as_bytes().eq_ignore_ascii_case(&own))
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

fn is_platform_key(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.rsplit(' ')
        .next()
        .is_some_and(|key| key.starts_with(PLATFORM_KEYS))
}

fn strip_platform_cookies(headers: &mut HeaderMap) {
    let kept: Vec<String> = pairs(headers)
        .filter(|pair| !pair.to_ascii_lowercase().starts_with(PLATFORM_COOKIES))
        .map(ToOwned::to_owned)
        .collect();
    headers.remove(header::COOKIE);
    if let Some(value) = HeaderValue::from_str(&kept.join("; "))
        .ok()
        .filter(|value| !value.is_empty())
    {
        headers.insert(header::COOKIE, value);
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(';'))
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
}

/// A cookie of the application for its own host alone; `None` for one that looks like the platform's.
fn own_cookie(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    if text
        .trim_start()
        .to_ascii_lowercase()
        .starts_with(PLATFORM_COOKIES)
    {
        return None;
    }
    let is_domain = |part: &&str| {
        part.split('=')
            .next()
            .is_some_and(|name| name.trim().eq_ignore_ascii_case("domain"))
    };
    let mut parts = text.split(';');
    let first = parts.next()?;
    let rest: Vec<&str> = parts.filter(|part| !is_domain(part)).collect();
    HeaderValue::from_str(
        &std::iter::once(first)
            .chain(rest)
            .collect::<Vec<_>>()
            .join(";"),
    )
    .ok()
}

/// The token in the cookie.
#[must_use]
pub fn cookie_token(headers: &HeaderMap) -> Option<&str> {
    pairs(headers).find_map(|pair| pair.strip_prefix(TOKEN_COOKIE)?.strip_prefix('='))
}

/// Path and query without the token, and the token.
#[must_use]
pub fn split_query(target: &PathAndQuery) -> (String, Option<String>) {
    let Some(query) = target.query() else {
        return (target.path().to_owned(), None);
    };
    let value = |pair: &str| {
        pair.split_once('=')
            .filter(|(name, _)| *name == TOKEN_QUERY)
            .map(|(_, value)| value.to_owned())
    };
    let token = query.split('&').find_map(value);
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| value(pair).is_none())
        .collect();
    if kept.is_empty() {
        return (target.path().to_owned(), token);
    }
    (format!("{}?{}", target.path(), kept.join("&")), token)
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{HeaderName, HeaderValue};

    use super::{Visitor, cookie_token, inward, outward, split_query};

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().expect("a name");
            map.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        map
    }

    fn inwards(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = headers(lines);
        let host = HeaderValue::from_static("3000-a.sandbox.localhost:7070");
        let address = Some("192.0.2.7".parse().expect("an address"));
        inward(
            &mut map,
            Visitor {
                host: &host,
                scheme: "http",
                address,
            },
            None,
        );
        map
    }

    #[test]
    fn nothing_of_the_platform_reaches_the_application() {
        let map = inwards(&[
            ("x-miosa-preview-token", "mp_x"),
            ("authorization", "Bearer msk_u_secret"),
            ("cookie", "theme=dark; miosa_preview=mp_x; MIOSA_session=y"),
            ("cookie", "miosa_other=z"),
            ("connection", "close, x-private"),
            ("x-private", "1"),
        ]);
        let text = format!("{map:?}");
        for gone in ["mp_x", "msk_", "miosa_", "MIOSA", "x-private", "close"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        assert_eq!(map["cookie"], "theme=dark");
    }

    #[test]
    fn the_applications_own_authorization_passes() {
        assert_eq!(
            inwards(&[("authorization", "Bearer own")])["authorization"],
            "Bearer own"
        );
    }

    #[test]
    fn forwarded_headers_are_ours_alone() {
        let map = inwards(&[
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "gopher"),
            ("forwarded", "for=1.2.3.4"),
        ]);
        assert_eq!(map["x-forwarded-host"], "3000-a.sandbox.localhost:7070");
        assert_eq!(map["host"], map["x-forwarded-host"]);
        assert_eq!(map["x-forwarded-for"], "192.0.2.7");
        assert_eq!(map["x-forwarded-proto"], "http");
        assert!(!map.contains_key("forwarded"));
    }

    #[test]
    fn an_application_sets_cookies_for_its_own_host_alone() {
        let mut map = headers(&[
            ("set-cookie", "a=1; Domain=localhost; Path=/"),
            ("set-cookie", "b=2; HttpOnly; domain =.sandbox.localhost"),
            ("set-cookie", "miosa_preview=stolen; Path=/"),
        ]);
        outward(&mut map, None);
        let cookies: Vec<_> = map.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1; Path=/", "b=2; HttpOnly"]);
        assert_eq!(map["x-robots-tag"], "noindex");
    }

    #[test]
    fn a_token_is_taken_out_of_the_query_and_nothing_else() {
        for (given, want, token) in [
            ("/", "/", None),
            ("/?preview_token=t", "/", Some("t")),
            ("/a?x=1&preview_token=t&y=%20", "/a?x=1&y=%20", Some("t")),
            ("/a?xpreview_token=t", "/a?xpreview_token=t", None),
            ("/a?preview_token=t&preview_token=u", "/a", Some("t")),
        ] {
            let (target, found) = split_query(&given.parse().expect("a target"));
            assert_eq!(
                (target.as_str(), found.as_deref()),
                (want, token),
                "{given}"
            );
        }
        let map = headers(&[("cookie", "xmiosa_preview=no; miosa_preview=yes")]);
        assert_eq!(cookie_token(&map), Some("yes"));
    }
}
