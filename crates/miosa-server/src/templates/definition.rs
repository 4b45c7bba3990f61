//! A template as data: a build specification with a name, shipped with the program or found in a folder.

use std::path::Path;
use std::sync::LazyLock;

use miosa_api::template::BuildSpec;
use serde::Deserialize;

use super::validate;

/// A named build specification.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its id, e.g. `nextjs`.
    pub id: String,
    /// For people.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Whether it is the default.
    pub default: bool,
    /// How it is made.
    pub spec: BuildSpec,
}

/// Why a file is not a template definition.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The file could not be read.
    #[error("the template file could not be read")]
    Read(#[from] std::io::Error),
    /// The text is not TOML of this shape.
    #[error("the template in {file} is not valid: {why}")]
    Parse {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
}

#[derive(Deserialize)]
struct Head {
    id: String,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    default: bool,
}

const HEAD_KEYS: [&str; 4] = ["id", "name", "description", "default"];

const SHIPPED: [(&str, &str); 2] = [
    (
        "miosa-sandbox.toml",
        include_str!("../../../../templates/miosa-sandbox.toml"),
    ),
    (
        "nextjs.toml",
        include_str!("../../../../templates/nextjs.toml"),
    ),
];

static PARSED: LazyLock<Vec<Definition>> = LazyLock::new(|| {
    let parse =
        |&(file, text)| parse(file, text).expect("shipped templates parse: a test reads them");
    SHIPPED.iter().map(parse).collect()
});

/// The templates that come with the program.
#[must_use]
pub fn shipped() -> &'static [Definition] {
    &PARSED
}

/// Reads one definition; unknown keys are errors.
pub fn parse(file: &str, text: &str) -> Result<Definition, DefinitionError> {
    let refuse = |why: String| DefinitionError::Parse {
        file: file.to_owned(),
        why,
    };
    let mut table: toml::Table = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
    let head_table: toml::Table = HEAD_KEYS
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), table.remove(key)?)))
        .collect();
    let head: Head = head_table
        .try_into()
        .map_err(|error| refuse(error.to_string()))?;
    let spec: BuildSpec = table
        .try_into()
        .map_err(|error| refuse(error.to_string()))?;
    let problems = validate::problems(&spec);
    if !validate::is_id(&head.id) {
        return Err(refuse(format!(
            "id {:?} is not lower case letters, digits and dashes",
            head.id
        )));
    }
    if let Some(problem) = problems.first() {
        return Err(refuse(format!("{}: {}", problem.field, problem.message)));
    }
    Ok(Definition {
        id: head.id,
        name: head.name,
        description: head.description,
        default: head.default,
        spec,
    })
}

/// Reads every `*.toml` of an operator's folder, in order of their names.
pub fn read_dir(dir: &Path) -> Result<Vec<Definition>, DefinitionError> {
    let mut files: Vec<_> = fs_err::read_dir(dir)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| parse(&path.display().to_string(), &fs_err::read_to_string(path)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{parse, shipped};

    #[test]
    fn shipped_templates_parse_and_one_is_the_default() {
        let ids: Vec<&str> = shipped()
            .iter()
            .map(|definition| definition.id.as_str())
            .collect();
        assert_eq!(ids, ["miosa-sandbox", "nextjs"]);
        assert_eq!(
            shipped()
                .iter()
                .filter(|definition| definition.default)
                .count(),
            1
        );
        let next = &shipped()[1].spec;
        assert_eq!(next.from, "template:miosa-sandbox");
        assert_eq!(next.preview_port, Some(3000));
        assert_eq!(next.workdir, "/workspace");
        assert!(
            next.start_cmd
                .as_deref()
                .is_some_and(|cmd| cmd.contains("--hostname 0.0.0.0 --port 3000"))
        );
        assert!(next.files.contains_key("/workspace/app/page.jsx"));
    }

    #[test]
    fn a_definition_with_an_unknown_key_or_a_bad_base_is_refused() {
        let ok = "id = \"x\"\nname = \"X\"\nfrom = \"debian:bookworm\"\n";
        assert!(parse("x.toml", ok).is_ok());
        assert!(parse("x.toml", &format!("{ok}stepz = []\n")).is_err());
        assert!(parse("x.toml", &ok.replace("debian:bookworm", "ftp:bookworm")).is_err());
        assert!(parse("x.toml", &ok.replace("\"x\"", "\"../x\"")).is_err());
    }
}
