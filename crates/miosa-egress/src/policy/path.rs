//! Paths: patterns of rules and endpoints, and which paths have one single meaning.

/// A path pattern, segment by segment: literal, `*` for one segment, `**` (last) for any rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    One,
    Rest,
}

impl PathPattern {
    /// Reads a pattern; `None` when it has no leading slash, `**` inside, or is itself not canonical.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !is_canonical(text) {
            return None;
        }
        let words: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
        let segments: Vec<Segment> = words.iter().map(|word| Segment::parse(word)).collect();
        let rest_inside = segments
            .iter()
            .rev()
            .skip(1)
            .any(|segment| *segment == Segment::Rest);
        (!rest_inside).then_some(Self(segments))
    }

    /// Whether it is about this path, byte by byte: what is matched is what is sent.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.matches_with(path, |literal, given| literal == given)
    }

    /// Whether it is about this path once percent-encoding is undone: for rules, which must not be
    /// escaped by spelling a letter otherwise.
    #[must_use]
    pub fn matches_decoded(&self, path: &str) -> bool {
        self.matches_with(path, |literal, given| decode(literal) == decode(given))
    }

    /// Whether some server would take this path for one it is about: letters in any case and spelling, and a
    /// slash at the end more or less. For what must be looked into rather than allowed.
    #[must_use]
    pub fn may_match(&self, path: &str) -> bool {
        let fold = |word: &str| decode(word).to_ascii_lowercase();
        let matches =
            |path: &str| self.matches_with(path, |literal, given| fold(literal) == fold(given));
        matches(path) || path.strip_suffix('/').is_some_and(matches) || matches(&format!("{path}/"))
    }

    fn matches_with(&self, path: &str, same: impl Fn(&str, &str) -> bool) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let mut given = path.split('/');
        for segment in &self.0 {
            let fits = match (segment, given.next()) {
                (Segment::Rest, _) => return true,
                (_, None) => false,
                (Segment::One, Some(word)) => !word.is_empty(),
                (Segment::Literal(literal), Some(word)) => same(literal, word),
            };
            if !fits {
                return false;
            }
        }
        given.next().is_none()
    }

    /// Whether some path matches both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.0.iter(), other.0.iter());
        loop {
            return match (left.next(), right.next()) {
                (Some(Segment::Rest), _) | (_, Some(Segment::Rest)) | (None, None) => true,
                (None, _) | (_, None) => false,
                (Some(one), Some(another)) if one.overlaps(another) => continue,
                _ => false,
            };
        }
    }
}

impl Segment {
    fn parse(word: &str) -> Self {
        match word {
            "*" => Self::One,
            "**" => Self::Rest,
            literal => Self::Literal(literal.to_owned()),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(left), Self::Literal(right)) => left == right,
            (Self::Literal(literal), Self::One) | (Self::One, Self::Literal(literal)) => {
                !literal.is_empty()
            }
            _ => true,
        }
    }
}

fn decode(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// Whether every parser reads this path alike: no dot segments, no empty segment inside, nothing
/// encoded that would mean something, no parameters, no bytes outside of printable ASCII.
#[must_use]
pub fn is_canonical(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b';' | b'#' | b'?');
    let segments_are_fine = rest
        .split('/')
        .all(|segment| segment != "." && segment != "..");
    rest.bytes().all(plain)
        && !path.contains("//")
        && segments_are_fine
        && encodings_are_harmless(path.as_bytes())
}

/// Whether all `%XX` are whole, none hides a character with a meaning in a path, and what they give
/// is UTF-8.
fn encodings_are_harmless(path: &[u8]) -> bool {
    let mut rest = path;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let mut decoded = [0];
        let Some(digits) = rest.get(at + 1..at + 3) else {
            return false;
        };
        if hex::decode_to_slice(digits, &mut decoded).is_err() || has_meaning(decoded[0]) {
            return false;
        }
        rest = &rest[at + 3..];
    }
    let decoded: Vec<u8> = percent_encoding::percent_decode(path).collect();
    std::str::from_utf8(&decoded).is_ok()
}

const fn has_meaning(byte: u8) -> bool {
    byte.is_ascii_control() || matches!(byte, b'.' | b'/' | b'\\' | b'%' | b';' | b'?' | b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn row_042_prefix_confusion() {
        for path in [
            "/mcpx", "/mcp/", "/mcp/x", "/MCP", "/", "/xmcp", "/%6dcp", "/mc", "mcp",
        ] {
            assert!(!matches("/mcp", path), "{path}");
        }
        assert!(matches("/mcp", "/mcp"));
    }

    #[test]
    fn wildcards_are_about_whole_segments() {
        for (pattern, path, expected) in [
            ("/repos/*/issues", "/repos/a/issues", true),
            ("/repos/*/issues", "/repos//issues", false),
            ("/repos/*/issues", "/repos/a/b/issues", false),
            ("/v1/**", "/v1/messages/count", true),
            ("/v1/**", "/v1", true),
            ("/v1/**", "/v1x", false),
            ("/v1/**", "/v2/messages", false),
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/*", "/a", true),
            ("/*", "/", false),
            ("/a*", "/ab", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_is_canonical_itself() {
        for pattern in [
            "", "mcp", "/a/**/b", "/a//b", "/../b", "/%2e", "/a;b", "/a?b",
        ] {
            assert_eq!(PathPattern::parse(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn rows_043_044_045_paths_with_two_meanings() {
        for path in [
            "/mcp/../admin",
            "/mcp/..",
            "/./mcp",
            "/mcp/.",
            "/mcp/..;/admin",
            "/mcp/%2e%2e/admin",
            "/mcp/%2E./admin",
            "/mcp/%252e%252e/",
            "/mcp%2f..%2fadmin",
            "/mcp%2Fadmin",
            "/mcp%5cadmin",
            "/mcp\\admin",
            "//admin",
            "/mcp//admin",
            "/mcp;a=b",
            "/mcp%3ba",
            "/mcp%00",
            "/mcp%0d%0a",
            "/mcp%",
            "/mcp%4",
            "/mcp%zz",
            "/mcp%c0%ae",
            "/mcp%ff",
            "/é",
            "/a b",
            "*",
            "",
            "/a#b",
            "/a%3fb",
            "/a%23b",
            "/%25",
        ] {
            assert!(!is_canonical(path), "{path}");
        }
        for path in [
            "/",
            "/mcp",
            "/mcp/",
            "/v1/a.b",
            "/a/...",
            "/%C3%A9",
            "/a%20b",
            "/~a/-_b,c:d@e!$&'()*+=",
        ] {
            assert!(is_canonical(path), "{path}");
        }
    }

    #[test]
    fn a_rule_is_not_escaped_by_spelling() {
        let pattern = PathPattern::parse("/admin/**").unwrap();
        assert!(pattern.matches_decoded("/%61dmin/x") && !pattern.matches("/%61dmin/x"));
    }

    #[test]
    fn row_055_overlap_is_seen() {
        let overlap = |a: &str, b: &str| {
            PathPattern::parse(a)
                .unwrap()
                .overlaps(&PathPattern::parse(b).unwrap())
        };
        assert!(overlap("/mcp", "/mcp") && overlap("/**", "/mcp") && overlap("/*/b", "/a/*"));
        assert!(overlap("/a/**", "/a") && overlap("/a/**", "/*/b/c"));
        assert!(!overlap("/a", "/b") && !overlap("/a", "/a/b") && !overlap("/a/**", "/b/**"));
        assert!(!overlap("/*", "/"));
    }
}
