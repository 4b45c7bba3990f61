//! Where in its file a definition is wrong: line, field, and what is expected there.

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::definitions::{Definition, DefinitionError, parse};

/// What is wrong with a file, for its author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Line, from 1.
    pub line: usize,
    /// The field, if it is about one: `endpoints[2].path`.
    pub field: Option<String>,
    /// What is wrong, and what is expected.
    pub expected: String,
}

impl Fault {
    /// Reads and checks a file as the server does.
    pub fn check(text: &str) -> Result<Definition, Self> {
        parse(text).map_err(|error| Self::of(text, error))
    }

    fn of(text: &str, error: DefinitionError) -> Self {
        match error {
            DefinitionError::Shape { at, why } => Self {
                line: line(text, at.unwrap_or(0)),
                field: named(&why),
                expected: why,
            },
            DefinitionError::Value { field, index, why } => {
                let at = place(text, &field, index).unwrap_or(0);
                Self {
                    line: line(text, at),
                    field: Some(with_index(&field, index)),
                    expected: why,
                }
            }
        }
    }
}

fn line(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The field of messages such as: missing field `env`.
fn named(why: &str) -> Option<String> {
    let (_, rest) = why.split_once("field `")?;
    rest.split_once('`').map(|(name, _)| name.to_owned())
}

fn with_index(field: &str, index: Option<usize>) -> String {
    match (index, field.split_once('.')) {
        (Some(index), Some((list, rest))) => format!("{list}[{index}].{rest}"),
        (Some(index), None) => format!("{field}[{index}]"),
        (None, _) => field.to_owned(),
    }
}

/// First byte of a field, or of the nearest table around it that is there.
fn place(text: &str, field: &str, index: Option<usize>) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut names = field.split('.');
    let mut value = document.get_ref().get(names.next()?)?;
    if let (Some(index), DeValue::Array(entries)) = (index, value.get_ref()) {
        value = entries.get(index)?;
    }
    for name in names {
        match inner(value, name) {
            Some(found) => value = found,
            None => break,
        }
    }
    Some(value.span().start)
}

fn inner<'a, 'i>(value: &'a Spanned<DeValue<'i>>, name: &str) -> Option<&'a Spanned<DeValue<'i>>> {
    match value.get_ref() {
        DeValue::Table(table) => table.get(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;

    const GOOD: &str = include_str!("../../../../connectors/gitlab.toml");

    #[test]
    fn line_and_field_are_named() {
        let rows = [
            (
                "\"/api/v4/user\" }",
                "\"api/v4/user\" }",
                "endpoints[0].path",
                "must start",
            ),
            (
                "\"/api/v4/search\" }",
                "\"/api//search\" }",
                "endpoints[13].path",
                "segment",
            ),
            (
                "\"private-token\"",
                "\"cookie\"",
                "places[0].name",
                "not a header",
            ),
            (
                "{ kind = \"basic\" }",
                "{ kind = \"basic\", name = \"x\" }",
                "places[2]",
                "neither",
            ),
            (
                "env = \"GITLAB_TOKEN\"",
                "env = \"PATH\"",
                "env",
                "is refused",
            ),
            ("docs = ", "doc = ", "doc", "unknown field"),
            (
                "expect = [200]",
                "expect = [500]",
                "probe.expect",
                "from 200",
            ),
            (
                "method = \"GET\"\nurl",
                "method = \"PUT\"\nurl",
                "probe.url",
                "not at one of",
            ),
            (
                "display_name = \"GitLab\"\n",
                "",
                "display_name",
                "missing field",
            ),
            ("provider = \"gitlab\"", "provider = ", "", ""),
        ];
        for (from, to, field, expected) in rows {
            assert_eq!(GOOD.matches(from).count(), 1, "the file holds {from} once");
            let fault = Fault::check(&GOOD.replace(from, to)).unwrap_err();
            let before = GOOD.split(from).next().unwrap();
            let line = match field {
                "display_name" => 1,
                "probe.url" => before.lines().count() + 2,
                _ => before.lines().count() + usize::from(before.ends_with('\n')),
            };
            assert_eq!(fault.field.as_deref().unwrap_or(""), field, "{fault:?}");
            assert!(fault.expected.contains(expected), "{fault:?}");
            assert_eq!(fault.line, line, "{fault:?}");
        }
    }

    #[test]
    fn what_is_right_is_no_fault() {
        assert_eq!(Fault::check(GOOD).unwrap().provider, "gitlab");
    }
}
