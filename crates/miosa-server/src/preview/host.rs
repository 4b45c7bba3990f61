//! Host names of previews: `<port>-<slug>.sandbox.<domain>`, and `<slug>.sandbox.<domain>` for the
//! first exposed port. One spelling each: what is not exactly this is no preview.

/// Which sandbox's port a host name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Port inside; the first exposed one when absent.
    pub port: Option<u16>,
    /// The sandbox's slug.
    pub slug: String,
}

const LABEL: &str = "sandbox";

/// Reads a host name without its port.
#[must_use]
pub fn parse(host: &str, domain: &str) -> Option<Target> {
    let label = host
        .strip_suffix(domain)?
        .strip_suffix('.')?
        .strip_suffix(LABEL)?
        .strip_suffix('.')?;
    if let Some((digits, slug)) = label.split_once('-')
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
    {
        let port = digits
            .parse()
            .ok()
            .filter(|port| *port > 0 && !digits.starts_with('0'))?;
        return is_slug(slug).then(|| Target {
            port: Some(port),
            slug: slug.to_owned(),
        });
    }
    is_slug(label).then(|| Target {
        port: None,
        slug: label.to_owned(),
    })
}

/// Whether this can be a sandbox's slug: a DNS label in lower case that does not read like `<port>-<slug>`.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    let like_a_port = text
        .split_once('-')
        .is_some_and(|(head, _)| head.bytes().all(|b| b.is_ascii_digit()));
    !like_a_port
        && bytes.len() <= 57
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-')
}

/// The host of a sandbox's port.
#[must_use]
pub fn format(port: Option<u16>, slug: &str, domain: &str) -> String {
    match port {
        Some(port) => format!("{port}-{slug}.{LABEL}.{domain}"),
        None => format!("{slug}.{LABEL}.{domain}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, format, parse};

    fn target(port: Option<u16>, slug: &str) -> Option<Target> {
        Some(Target {
            port,
            slug: slug.to_owned(),
        })
    }

    #[test]
    fn hosts_are_read_in_one_spelling() {
        for (host, want) in [
            ("3000-abc.sandbox.localhost", target(Some(3000), "abc")),
            (
                "65535-a-b-c.sandbox.localhost",
                target(Some(65535), "a-b-c"),
            ),
            ("abc.sandbox.localhost", target(None, "abc")),
            ("a-3000.sandbox.localhost", target(None, "a-3000")),
            ("3000.sandbox.localhost", target(None, "3000")),
            ("3000-5-abc.sandbox.localhost", None),
            ("0-abc.sandbox.localhost", None),
            ("03000-abc.sandbox.localhost", None),
            ("65536-abc.sandbox.localhost", None),
            ("3000-.sandbox.localhost", None),
            ("-abc.sandbox.localhost", None),
            ("abc-.sandbox.localhost", None),
            (".sandbox.localhost", None),
            ("sandbox.localhost", None),
            ("localhost", None),
            ("x.abc.sandbox.localhost", None),
            ("3000-abc.sandbox.localhost.evil.example", None),
            ("3000-abc.sandboxlocalhost", None),
            ("3000-abcsandbox.localhost", None),
            ("3000-ABC.sandbox.localhost", None),
            ("3000-abc.sandbox.otherhost", None),
            ("3000-abc.sandbox.evil-localhost", None),
            ("3000-a_b.sandbox.localhost", None),
            ("3000-abc.sandbox.localhost.", None),
            ("+3000-abc.sandbox.localhost", None),
        ] {
            assert_eq!(parse(host, "localhost"), want, "{host}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for (port, slug) in [(Some(3000), "abc"), (None, "abc-1")] {
            let host = format(port, slug, "preview.example");
            assert_eq!(parse(&host, "preview.example"), target(port, slug));
        }
    }
}
