//! The rules a definition keeps, each with the sentence its author reads.

use std::net::IpAddr;

use miosa_api::broker::{Endpoint, Place, is_bindable_header, is_bindable_prefix};
use miosa_api::env::refused_connector_env_name;
use miosa_api::mcp::McpPolicy;

use super::definitions::{Definition, DefinitionError, McpServer, Probe};
use super::overlap::{endpoint_matches, path_matches};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// Headers that frame or route a request: a probe leaves them to its client.
const FRAMING_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "proxy-connection",
    "expect",
];
const PLACEHOLDER_PREFIX_MAX: usize = 32;

type Checked = Result<(), DefinitionError>;

fn require(ok: bool, field: &str, why: impl Into<String>) -> Checked {
    if ok {
        Ok(())
    } else {
        Err(DefinitionError::value(field, why))
    }
}

pub(super) fn check(definition: &Definition) -> Checked {
    names(definition)?;
    require(
        !definition.endpoints.is_empty(),
        "endpoints",
        "must not be empty: a credential belongs somewhere",
    )?;
    each(&definition.endpoints, endpoint)?;
    require(
        !definition.places.is_empty(),
        "places",
        "must not be empty: a credential is carried somehow",
    )?;
    if definition.signs() {
        // No entries of the file: the fault is not in one of them.
        definition.places.iter().try_for_each(place)?;
    } else {
        each(&definition.places, place)?;
    }
    if let Some(server) = &definition.mcp {
        mcp(server, definition)?;
    }
    definition
        .probe
        .as_ref()
        .map_or(Ok(()), |p| probe(p, definition))
}

fn each<T>(entries: &[T], check: impl Fn(&T) -> Checked) -> Checked {
    (entries.iter().enumerate())
        .try_for_each(|(index, entry)| check(entry).map_err(|error| error.of_entry(index)))
}

fn names(definition: &Definition) -> Checked {
    require(
        is_slug(&definition.provider),
        "provider",
        "is lower-case letters, digits and `-`",
    )?;
    match (&definition.uid, definition.managed) {
        (Some(uid), true) => require(
            uid.strip_prefix(&definition.provider)
                .and_then(|rest| rest.strip_prefix('/'))
                .is_some_and(is_slug),
            "uid",
            "is `<provider>/<name>`, lower-case letters, digits and `-`",
        )?,
        (None, false) => {}
        (Some(_), false) => require(false, "uid", "belongs to managed definitions only")?,
        (None, true) => require(false, "uid", "is needed by a managed definition")?,
    }
    require(
        !definition.display_name.trim().is_empty(),
        "display_name",
        "must not be empty",
    )?;
    if let Some(why) = refused_connector_env_name(&definition.default_env_name) {
        return Err(DefinitionError::value("env", format!("is refused: {why}")));
    }
    for name in &definition.more_env_names {
        if let Some(why) = refused_connector_env_name(name) {
            return Err(DefinitionError::value(
                "more_env",
                format!("is refused: {why}"),
            ));
        }
    }
    let prefix = &definition.placeholder_prefix;
    require(
        prefix.len() <= PLACEHOLDER_PREFIX_MAX
            && prefix
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')),
        "placeholder.prefix",
        "is at most 32 letters, digits, `-` and `_`",
    )
}

fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn endpoint(endpoint: &Endpoint) -> Checked {
    require(
        is_host(&endpoint.host),
        "endpoints.host",
        format!(
            "`{}` is not an exact host name in lower case with a dot in it",
            endpoint.host
        ),
    )?;
    require(endpoint.port != 0, "endpoints.port", "must not be 0")?;
    require(
        !endpoint.methods.is_empty()
            && endpoint
                .methods
                .iter()
                .all(|m| METHODS.contains(&m.as_str())),
        "endpoints.methods",
        format!("lists at least one of {}", METHODS.join(", ")),
    )?;
    path(&endpoint.path)
}

fn is_host(host: &str) -> bool {
    host.len() <= 253
        && host.contains('.')
        && host.parse::<IpAddr>().is_err()
        && host
            .split('.')
            .all(|label| is_slug(label) && label.len() <= 63)
}

fn path(path: &str) -> Checked {
    path_pattern(path).map_err(|why| DefinitionError::value("endpoints.path", why))
}

/// Checks a pattern of paths as definitions and rules have it.
pub(crate) fn path_pattern(path: &str) -> Result<(), String> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(format!("`{path}` must start with `/`"));
    };
    let segments: Vec<&str> = rest.split('/').collect();
    let last = segments.len() - 1;
    for (index, segment) in segments.iter().enumerate() {
        let ok = match *segment {
            "" => index == last,
            "*" => true,
            "**" => index == last,
            "." | ".." => false,
            literal => literal.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b':' | b'@')
            }),
        };
        if !ok {
            return Err(format!(
                "`{path}`: a segment is a literal without escapes, `*` for one, or a last `**` for any rest; none but the last is empty"
            ));
        }
    }
    Ok(())
}

fn place(place: &Place) -> Checked {
    match place {
        Place::Header { name, prefix } => {
            require(
                is_header_name(name) && is_bindable_header(name),
                "places.name",
                format!("`{name}` is not a header, in lower case, that may carry a credential"),
            )?;
            require(
                is_bindable_prefix(prefix),
                "places.prefix",
                "is printable ASCII and begins with no space",
            )
        }
        Place::Basic => Ok(()),
        Place::AwsHeader(scope) | Place::AwsQuery(scope) => require(
            scope.is_sound(),
            "aws_signature",
            "lists at least one of `services` and of `regions`, by their names in signatures (`s3`, `eu-west-1`); \"*\" alone is every region",
        ),
        Place::Query { name } => require(
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')),
            "places.name",
            "of a query is letters, digits, `-`, `_` and `.`",
        ),
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}

fn mcp(server: &McpServer, definition: &Definition) -> Checked {
    require(
        is_slug(&server.name),
        "mcp.name",
        "is lower-case letters, digits and `-`",
    )?;
    at_an_endpoint("mcp.url", "POST", &server.url, definition)?;
    for path in &server.paths {
        path_pattern(path).map_err(|why| DefinitionError::value("mcp.paths", why))?;
    }
    let url = url::Url::parse(&server.url);
    let covers = |path: &String| url.as_ref().is_ok_and(|url| path_matches(path, url.path()));
    require(
        server.paths.is_empty() || server.paths.iter().any(covers),
        "mcp.paths",
        "do not cover the path of `mcp.url`",
    )?;
    if let Some((field, why)) = server.policy.as_ref().and_then(McpPolicy::fault) {
        return Err(DefinitionError::value(format!("mcp.policy.{field}"), why));
    }
    let place = Place::Header {
        name: server.header.clone(),
        prefix: server.prefix.clone(),
    };
    require(
        definition.places.contains(&place),
        "mcp.header",
        "with `mcp.prefix` must be one of `places`",
    )
}

fn probe(probe: &Probe, definition: &Definition) -> Checked {
    at_an_endpoint("probe.url", &probe.method, &probe.url, definition)?;
    require(
        !probe.expect.is_empty() && probe.expect.iter().all(|s| (200..300).contains(s)),
        "probe.expect",
        "lists at least one status from 200 to 299",
    )?;
    for (name, value) in &probe.headers {
        let is_place = definition.places.iter().any(|place| match place {
            Place::Header { name: held, .. } => held == name,
            Place::Basic | Place::AwsHeader(_) => name == "authorization",
            Place::Query { .. } | Place::AwsQuery(_) => false,
        });
        require(
            is_header_name(name) && !FRAMING_HEADERS.contains(&name.as_str()) && !is_place,
            "probe.headers",
            format!("must not set `{name}` (names are lower case, the credential's is set for it)"),
        )?;
        require(
            value.bytes().all(|b| (0x20..0x7f).contains(&b)),
            "probe.headers",
            format!("`{name}` is printable ASCII"),
        )?;
    }
    Ok(())
}

fn at_an_endpoint(field: &str, method: &str, url: &str, definition: &Definition) -> Checked {
    let parsed = url::Url::parse(url)
        .map_err(|_| DefinitionError::value(field, format!("`{url}` is not an address")))?;
    let bound = parsed.scheme() == "https"
        && parsed.query().is_none()
        && parsed.fragment().is_none()
        && parsed.username().is_empty()
        && definition.endpoints.iter().any(|endpoint| {
            endpoint_matches(
                endpoint,
                parsed.host_str().unwrap_or_default(),
                parsed.port_or_known_default().unwrap_or_default(),
                method,
                parsed.path(),
            )
        });
    require(
        bound,
        field,
        format!("`{method} {url}` is not at one of `endpoints`"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::definitions::{DefinitionError, parse};

    const GOOD: &str = include_str!("../../../../connectors/refero-design-research.toml");

    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "the file holds {from}");
        parse(&GOOD.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn what_is_wrong_is_said_in_a_sentence() {
        let rows = [
            ("\"refero\"\nuid", "\"Re fero\"\nuid", "`provider`"),
            ("refero/design-research", "other/design-research", "`uid`"),
            (
                "managed = true",
                "managed = false",
                "managed definitions only",
            ),
            ("REFERO_MCP_TOKEN", "LD_PRELOAD", "`env` is refused"),
            (
                "host = \"api.refero.design\"",
                "host = \"*.refero.design\"",
                "`endpoints.host`",
            ),
            (
                "host = \"api.refero.design\"",
                "host = \"10.0.0.1\"",
                "`endpoints.host`",
            ),
            (
                "host = \"api.refero.design\"",
                "host = \"API.refero.design\"",
                "`endpoints.host`",
            ),
            (
                "host = \"api.refero.design\"",
                "host = \"localhost\"",
                "`endpoints.host`",
            ),
            ("path = \"/mcp\"", "path = \"mcp\"", "must start with `/`"),
            (
                "path = \"/mcp\"",
                "path = \"/a/../mcp\"",
                "`endpoints.path`",
            ),
            ("path = \"/mcp\"", "path = \"/**/mcp\"", "`endpoints.path`"),
            ("path = \"/mcp\"", "path = \"/m%63p\"", "`endpoints.path`"),
            ("path = \"/mcp\"", "path = \"//mcp\"", "`endpoints.path`"),
            ("path = \"/mcp\"", "path = \"/mcp//\"", "`endpoints.path`"),
            (
                "\"POST\", \"GET\", \"DELETE\"",
                "\"post\"",
                "`endpoints.methods`",
            ),
            ("\"POST\", \"GET\", \"DELETE\"", "\"GET\"", "`mcp.url`"),
            (
                "name = \"authorization\"",
                "name = \"Authorization\"",
                "`places.name`",
            ),
            (
                "name = \"authorization\"",
                "name = \"host\"",
                "`places.name`",
            ),
            (
                "name = \"authorization\"",
                "name = \"cookie\"",
                "`places.name`",
            ),
            (
                "prefix = \"Bearer \"",
                "prefix = \" Bearer \"",
                "`places.prefix`",
            ),
            (
                "kind = \"header\"",
                "kind = \"basic\"",
                "neither `name` nor `prefix`",
            ),
            ("kind = \"header\"", "kind = \"cookie\"", "unknown variant"),
            (
                "header = \"authorization\"",
                "header = \"x-token\"",
                "`mcp.header`",
            ),
            (
                "[probe]",
                "[mcp.policy]\nallow.tools = [\"\"]\n[probe]",
                "`mcp.policy.allow.tools`",
            ),
            (
                "[probe]",
                "[mcp.policy]\nallow.tool = [\"a\"]\n[probe]",
                "unknown field",
            ),
            (
                "header = \"authorization\"",
                "paths = [\"/x\"]\nheader = \"authorization\"",
                "`mcp.paths` do not cover",
            ),
            (
                "header = \"authorization\"",
                "paths = [\"mcp\"]\nheader = \"authorization\"",
                "`mcp.paths`",
            ),
            ("expect = [200]", "expect = [401]", "`probe.expect`"),
            ("content-type = ", "authorization = ", "`probe.headers`"),
            ("display_name", "displayname", "unknown field"),
            (
                "method = \"POST\"\nurl = \"https",
                "method = \"POST\"\nurl = \"http",
                "`probe.url`",
            ),
        ];
        for (from, to, expected) in rows {
            let text = refusal(from, to);
            assert!(text.contains(expected), "{from} -> {to}: {text}");
        }
    }

    #[test]
    fn a_path_may_end_in_a_slash_and_is_that_path_alone() {
        let text = GOOD.replace("path = \"/mcp\"", "path = \"/mcp/\"");
        let text = text.replace("refero.design/mcp\"\n", "refero.design/mcp/\"\n");
        parse(&text).unwrap();
        let other = text.replace("refero.design/mcp/\"\n", "refero.design/mcp\"\n");
        assert!(parse(&other).unwrap_err().to_string().contains("`mcp.url`"));
    }

    #[test]
    fn a_missing_part_is_named() {
        let error = parse("provider = \"x\"").unwrap_err();
        assert!(
            matches!(error, DefinitionError::Shape { ref why, .. } if why.contains("missing field"))
        );
    }
}
