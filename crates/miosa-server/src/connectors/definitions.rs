//! One definition: the file's shape, and [`parse`], the only way to make one.

use std::collections::{BTreeMap, BTreeSet};

use miosa_api::broker::{AwsScope, Endpoint, Place};
use miosa_api::connector::CatalogEntry;
use miosa_api::mcp::{McpEndpoint, McpPolicy};
use serde::Deserialize;

use super::validate;

/// Where a kind of credential belongs, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// First half of a uid.
    pub provider: String,
    /// Whole uid, for a managed one.
    pub uid: Option<String>,
    /// For people.
    pub display_name: String,
    /// The operator's credential: bound by tenants, read by nobody.
    pub managed: bool,
    /// Variable it is attached to when none is named.
    pub default_env_name: String,
    /// Where the value may go.
    pub endpoints: Vec<Endpoint>,
    /// Further variables that hold the placeholder, for programs that want more than one.
    pub more_env_names: Vec<String>,
    /// How it is carried. The first is the one the probe uses.
    pub places: Vec<Place>,
    /// Beginning of its placeholders; empty for the ordinary one.
    pub placeholder_prefix: String,
    /// MCP server agents are given.
    pub mcp: Option<McpServer>,
    /// Request that shows the credential works.
    pub probe: Option<Probe>,
    /// Where to read about it.
    pub docs: Option<String>,
}

/// An MCP server (streamable HTTP) that takes the credential in a header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    /// Name agents see in tool names.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Header that carries the credential, lower case.
    pub header: String,
    /// Text before the credential.
    #[serde(default)]
    pub prefix: String,
    /// Paths of its host that speak MCP; all when empty.
    #[serde(default)]
    pub paths: Vec<String>,
    /// What may be asked of it; anything when absent.
    #[serde(default)]
    pub policy: Option<McpPolicy>,
}

impl McpServer {
    /// As the broker needs it, narrowed by an attachment.
    #[must_use]
    pub fn endpoint(&self, narrowed: Option<McpPolicy>) -> McpEndpoint {
        McpEndpoint {
            url: self.url.clone(),
            paths: self.paths.clone(),
            policies: self.policy.clone().into_iter().chain(narrowed).collect(),
        }
    }
}

/// A harmless request that succeeds only with a good credential.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Method.
    pub method: String,
    /// Whole address, at one of the endpoints.
    pub url: String,
    /// Headers besides the credential's.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body, if any.
    #[serde(default)]
    pub body: Option<String>,
    /// Statuses that mean it works.
    pub expect: Vec<u16>,
}

/// What is wrong with a definition, in a sentence for its author.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DefinitionError {
    /// Not TOML, a field missing, or one that does not exist.
    #[error("{why}")]
    Shape {
        /// First byte of what is wrong, if it is known.
        at: Option<usize>,
        /// What is wrong.
        why: String,
    },
    /// A value that is not allowed.
    #[error("`{field}` {why}")]
    Value {
        /// The field, and of which entry of a list.
        field: String,
        /// Which entry, from 0.
        index: Option<usize>,
        /// What is wrong.
        why: String,
    },
}

impl DefinitionError {
    pub(super) fn value(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Value {
            field: field.into(),
            index: None,
            why: why.into(),
        }
    }

    /// The same, about this entry of a list.
    pub(super) fn of_entry(mut self, entry: usize) -> Self {
        if let Self::Value { index, .. } = &mut self {
            *index = Some(entry);
        }
        self
    }
}

impl Definition {
    /// What it is found by: its uid when managed, else its provider.
    #[must_use]
    pub fn key(&self) -> &str {
        self.uid.as_deref().unwrap_or(&self.provider)
    }

    /// `managed`, or `api_key` for one that tenants make.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        if self.managed { "managed" } else { "api_key" }
    }

    /// The hosts of the endpoints, each once.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let hosts: BTreeSet<&str> = self.endpoints.iter().map(|e| e.host.as_str()).collect();
        hosts.into_iter().map(str::to_owned).collect()
    }

    /// As it is listed.
    #[must_use]
    pub fn entry(&self) -> CatalogEntry {
        CatalogEntry {
            provider: self.provider.clone(),
            uid: self.uid.clone(),
            kind: self.kind().to_owned(),
            display_name: self.display_name.clone(),
            default_env_name: self.default_env_name.clone(),
            hosts: self.hosts(),
            endpoints: self.endpoint_texts(),
            mcp: self.mcp.as_ref().map(|server| server.name.clone()),
            probe: self.probe.is_some(),
            docs: self.docs.clone(),
        }
    }

    /// Whether its value is AWS keys, which sign and are not sent.
    #[must_use]
    pub fn signs(&self) -> bool {
        let signs = |place: &Place| matches!(place, Place::AwsHeader(_) | Place::AwsQuery(_));
        self.places.iter().any(signs)
    }

    /// The endpoints in words: `POST,GET https://api.refero.design/mcp`.
    #[must_use]
    pub fn endpoint_texts(&self) -> Vec<String> {
        self.endpoints.iter().map(endpoint_text).collect()
    }
}

fn endpoint_text(endpoint: &Endpoint) -> String {
    let methods = endpoint.methods.join(",");
    let Endpoint {
        host, port, path, ..
    } = endpoint;
    if *port == 443 {
        format!("{methods} https://{host}{path}")
    } else {
        format!("{methods} https://{host}:{port}{path}")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    provider: String,
    uid: Option<String>,
    display_name: String,
    #[serde(default)]
    managed: bool,
    env: String,
    #[serde(default)]
    more_env: Vec<String>,
    endpoints: Vec<EndpointEntry>,
    #[serde(default)]
    places: Vec<PlaceEntry>,
    aws_signature: Option<AwsScope>,
    #[serde(default)]
    placeholder: Shape,
    mcp: Option<McpServer>,
    probe: Option<Probe>,
    docs: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointEntry {
    host: String,
    #[serde(default = "https_port")]
    port: u16,
    methods: Vec<String>,
    path: String,
}

const fn https_port() -> u16 {
    443
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceEntry {
    kind: PlaceKind,
    name: Option<String>,
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PlaceKind {
    Header,
    Basic,
    Query,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    #[serde(default)]
    prefix: String,
}

/// Reads and checks one definition.
pub fn parse(text: &str) -> Result<Definition, DefinitionError> {
    let file: File = toml::from_str(text).map_err(|error| DefinitionError::Shape {
        at: error.span().map(|span| span.start),
        why: error.message().to_owned(),
    })?;
    let endpoints = file.endpoints.into_iter().map(|e| Endpoint {
        host: e.host,
        port: e.port,
        methods: e.methods,
        path: e.path,
    });
    let places = places(file.places, file.aws_signature)?;
    let definition = Definition {
        provider: file.provider,
        uid: file.uid,
        display_name: file.display_name,
        managed: file.managed,
        default_env_name: file.env,
        endpoints: endpoints.collect(),
        more_env_names: file.more_env,
        places,
        placeholder_prefix: file.placeholder.prefix,
        mcp: file.mcp,
        probe: file.probe,
        docs: file.docs,
    };
    validate::check(&definition)?;
    Ok(definition)
}

/// The places listed, or the two of a signature.
fn places(
    entries: Vec<PlaceEntry>,
    signature: Option<AwsScope>,
) -> Result<Vec<Place>, DefinitionError> {
    if let Some(scope) = signature {
        if !entries.is_empty() {
            let why = "are those of the signature when there is `aws_signature`: leave them out";
            return Err(DefinitionError::value("places", why));
        }
        return Ok(vec![
            Place::AwsHeader(scope.clone()),
            Place::AwsQuery(scope),
        ]);
    }
    (entries.into_iter().enumerate())
        .map(|(index, entry)| place(entry).map_err(|error| error.of_entry(index)))
        .collect()
}

fn place(entry: PlaceEntry) -> Result<Place, DefinitionError> {
    match (entry.kind, entry.name, entry.prefix) {
        (PlaceKind::Header, Some(name), prefix) => Ok(Place::Header {
            name,
            prefix: prefix.unwrap_or_default(),
        }),
        (PlaceKind::Basic, None, None) => Ok(Place::Basic),
        (PlaceKind::Query, Some(name), None) => Ok(Place::Query { name }),
        (PlaceKind::Basic, ..) => Err(DefinitionError::value(
            "places",
            "of kind `basic` take neither `name` nor `prefix`",
        )),
        (PlaceKind::Query, _, Some(_)) => Err(DefinitionError::value(
            "places",
            "of kind `query` take no `prefix`",
        )),
        (PlaceKind::Header | PlaceKind::Query, None, _) => Err(DefinitionError::value(
            "places",
            "of kind `header` and `query` need a `name`",
        )),
    }
}
