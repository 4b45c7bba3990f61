//! Connector definitions: which credential may go where, and how. Data, not code: shipped files are
//! embedded, an operator adds a folder of the same shape.
//!
//! INVARIANT: what is in a [`Catalog`] has been checked by [`definitions::parse`]; nothing else makes one.

pub mod definitions;
mod fault;
pub mod overlap;
mod shipped;
pub mod stored;
pub mod supply;
mod validate;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use crate::bindings::{binding_policies, forget, placeholders};
pub(crate) use validate::path_pattern;

use overlap::bindings_overlap;
use shipped::SHIPPED;

pub use definitions::{Definition, DefinitionError, McpServer, Probe};
pub use fault::Fault;

/// Why a catalog could not be made. Names the file, so that its author can mend it.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file that is not a definition.
    #[error("connector definition {file}: {source}")]
    Definition {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: DefinitionError,
    },
    /// Two definitions under one name.
    #[error("connector definition {file}: `{key}` is already defined")]
    Duplicate {
        /// The second file.
        file: String,
        /// Provider or uid.
        key: String,
    },
    /// The operator's folder cannot be read.
    #[error("connector definitions in {path} cannot be read: {source}")]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// All definitions of this server, by uid (managed) or provider.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    by_key: BTreeMap<String, Definition>,
}

impl Catalog {
    /// The shipped definitions and those of the operator's folder (`*.toml`), which may not replace one.
    pub fn load(extra: Option<&Path>) -> Result<Self, CatalogError> {
        let mut catalog = Self::default();
        for (file, text) in SHIPPED {
            catalog.add(file, text)?;
        }
        if let Some(folder) = extra {
            for path in toml_files(folder)? {
                let text = fs_err::read_to_string(&path).map_err(|source| CatalogError::Read {
                    path: path.clone(),
                    source,
                })?;
                catalog.add(&path.display().to_string(), &text)?;
            }
        }
        Ok(catalog)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), CatalogError> {
        let definition = definitions::parse(text).map_err(|source| CatalogError::Definition {
            file: file.to_owned(),
            source,
        })?;
        let key = definition.key().to_owned();
        if self.by_key.contains_key(&key) {
            return Err(CatalogError::Duplicate {
                file: file.to_owned(),
                key,
            });
        }
        self.by_key.insert(key, definition);
        Ok(())
    }

    /// The managed definition with this uid.
    #[must_use]
    pub fn managed(&self, uid: &str) -> Option<&Definition> {
        self.by_key.get(uid).filter(|d| d.managed)
    }

    /// The definition tenants may make connectors of, by provider.
    #[must_use]
    pub fn provider(&self, provider: &str) -> Option<&Definition> {
        self.by_key.get(provider).filter(|d| !d.managed)
    }

    /// The definition of a stored connector.
    #[must_use]
    pub fn of(&self, uid: &str, provider: &str) -> Option<&Definition> {
        self.managed(uid).or_else(|| self.provider(provider))
    }

    /// All managed ones.
    pub fn all_managed(&self) -> impl Iterator<Item = &Definition> {
        self.by_key.values().filter(|d| d.managed)
    }

    /// Every definition, by name.
    pub fn all(&self) -> impl Iterator<Item = &Definition> {
        self.by_key.values()
    }

    /// Names of the definitions whose connectors cannot be in one sandbox with this one's. Not its own.
    #[must_use]
    pub fn conflicts(&self, definition: &Definition) -> Vec<&str> {
        let ours = (&definition.endpoints[..], &definition.places[..]);
        self.all()
            .filter(|other| other.key() != definition.key())
            .filter(|other| bindings_overlap(ours, (&other.endpoints, &other.places)))
            .map(Definition::key)
            .collect()
    }

    /// Providers tenants may make connectors of.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.by_key
            .values()
            .filter(|d| !d.managed)
            .map(|d| d.provider.as_str())
    }
}

fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let unreadable = |source| CatalogError::Read {
        path: folder.to_path_buf(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|ext| ext == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{Catalog, CatalogError, SHIPPED};

    #[test]
    fn every_shipped_definition_parses_and_is_found() {
        let catalog = Catalog::load(None).unwrap();
        let refero = catalog.managed("refero/design-research").unwrap();
        assert_eq!(refero.default_env_name, "REFERO_MCP_TOKEN");
        assert!(refero.mcp.is_some());
        let providers: Vec<_> = catalog.providers().collect();
        assert_eq!(providers.len(), SHIPPED.len() - 1, "one is managed");
        assert!(providers.contains(&"anthropic") && providers.contains(&"huggingface"));
        assert!(catalog.provider("refero").is_none());
        let anthropic = catalog.of("anthropic/work", "anthropic").unwrap();
        assert_eq!(anthropic.placeholder_prefix, "sk-ant-api03-");
    }

    #[test]
    fn a_folder_adds_but_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let shipped = include_str!("../../../../connectors/openai.toml");
        let other = shipped.replace("provider = \"openai\"", "provider = \"acme\"");
        fs_err::write(folder.path().join("acme.toml"), other).unwrap();
        fs_err::write(folder.path().join("notes.txt"), "not a definition").unwrap();
        let catalog = Catalog::load(Some(folder.path())).unwrap();
        let acme = catalog.provider("acme").unwrap();
        assert_eq!(catalog.conflicts(acme), ["openai"]);

        fs_err::write(folder.path().join("openai.toml"), shipped).unwrap();
        let error = Catalog::load(Some(folder.path())).unwrap_err();
        assert!(matches!(error, CatalogError::Duplicate { ref key, .. } if key == "openai"));
    }
}
