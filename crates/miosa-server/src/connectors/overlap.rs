//! Which requests an endpoint covers, and whether two endpoints could cover the same one.

use miosa_api::broker::{Endpoint, Place};

/// Whether a request is at this endpoint.
#[must_use]
pub fn endpoint_matches(
    endpoint: &Endpoint,
    host: &str,
    port: u16,
    method: &str,
    path: &str,
) -> bool {
    endpoint.host == host
        && endpoint.port == port
        && endpoint.methods.iter().any(|m| m == method)
        && path_matches(&endpoint.path, path)
}

/// Whether a concrete path is covered by a pattern.
#[must_use]
pub fn path_matches(pattern: &str, path: &str) -> bool {
    let concrete: Vec<&str> = path.split('/').collect();
    let pattern: Vec<&str> = pattern.split('/').collect();
    meet(&pattern, &concrete)
}

/// Whether some request could be at an endpoint of both and carry its credential in a place of both:
/// then nobody could say which credential is meant.
#[must_use]
pub fn bindings_overlap(
    (ours, our_places): (&[Endpoint], &[Place]),
    (theirs, their_places): (&[Endpoint], &[Place]),
) -> bool {
    let same_place = our_places
        .iter()
        .any(|a| their_places.iter().any(|b| places_overlap(a, b)));
    same_place
        && ours
            .iter()
            .any(|a| theirs.iter().any(|b| endpoints_overlap(a, b)))
}

fn places_overlap(a: &Place, b: &Place) -> bool {
    carrier(a) == carrier(b)
}

/// The header, or the parameter of a query, that has it.
fn carrier(place: &Place) -> Result<&str, &str> {
    match place {
        Place::Header { name, .. } => Ok(name),
        Place::Basic | Place::AwsHeader(_) => Ok("authorization"),
        Place::Query { name } => Err(name),
        Place::AwsQuery(_) => Err("X-Amz-Credential"),
    }
}

fn endpoints_overlap(a: &Endpoint, b: &Endpoint) -> bool {
    let paths = |e: &Endpoint| e.path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let (a_path, b_path) = (paths(a), paths(b));
    let (a_path, b_path): (Vec<&str>, Vec<&str>) = (
        a_path.iter().map(String::as_str).collect(),
        b_path.iter().map(String::as_str).collect(),
    );
    a.host == b.host
        && a.port == b.port
        && a.methods.iter().any(|m| b.methods.contains(m))
        && meet(&a_path, &b_path)
}

/// Whether two lists of segments, `*` for one and a last `**` for any rest, have a path in common.
fn meet(a: &[&str], b: &[&str]) -> bool {
    match (a.split_first(), b.split_first()) {
        (Some((&"**", _)), _) | (_, Some((&"**", _))) | (None, None) => true,
        (Some((x, a_rest)), Some((y, b_rest))) => {
            let same = x == y || (*x == "*" && !y.is_empty()) || (*y == "*" && !x.is_empty());
            same && meet(a_rest, b_rest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use miosa_api::broker::{Endpoint, Place};

    use super::{bindings_overlap, path_matches};

    fn at(host: &str, method: &str, path: &str) -> Endpoint {
        Endpoint {
            host: host.to_owned(),
            port: 443,
            methods: vec![method.to_owned()],
            path: path.to_owned(),
        }
    }

    #[test]
    fn patterns_cover_segment_by_segment() {
        let rows = [
            ("/mcp", "/mcp", true),
            ("/mcp", "/mcp/", false),
            ("/mcp", "/mcpx", false),
            ("/v1/models/**", "/v1/models/a", true),
            ("/v1/models/**", "/v1/models", true),
            ("/*/*/info/refs", "/o/r/info/refs", true),
            ("/*/*/info/refs", "/o/info/refs", false),
            ("/*", "/", false),
            ("/**", "/", true),
        ];
        for (pattern, path, expected) in rows {
            assert_eq!(path_matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn two_credentials_for_one_request_overlap() {
        let bearer = [Place::Header {
            name: "authorization".into(),
            prefix: "Bearer ".into(),
        }];
        let key = [Place::Header {
            name: "x-api-key".into(),
            prefix: String::new(),
        }];
        let all = [at("a.example.com", "GET", "/**")];
        let one = [at("a.example.com", "GET", "/v1/*")];
        let post = [at("a.example.com", "POST", "/v1/*")];
        let elsewhere = [at("b.example.com", "GET", "/v1/*")];
        assert!(bindings_overlap((&all, &bearer), (&one, &bearer)));
        assert!(bindings_overlap((&all, &bearer), (&one, &[Place::Basic])));
        assert!(!bindings_overlap((&all, &bearer), (&one, &key)));
        assert!(!bindings_overlap((&all, &bearer), (&post, &bearer)));
        assert!(!bindings_overlap((&all, &bearer), (&elsewhere, &bearer)));
    }
}
