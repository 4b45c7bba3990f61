//! Bindings, compiled: one credential and the only places it may go.

use std::sync::Arc;

use http::HeaderName;
use http::header::AUTHORIZATION;
use miosa_api::broker::{AwsScope, BindingPolicy, Place, is_bindable_header, is_bindable_prefix};

use super::PolicyError;
use super::host::{Destination, Host};
use super::mcp::McpServer;
use super::path::PathPattern;
use crate::sigv4;
use crate::weaken::{Defence, is_off};

/// One binding, ready to be asked.
#[derive(Debug)]
pub(crate) struct Binding {
    pub policy: Arc<BindingPolicy>,
    pub endpoints: Vec<Endpoint>,
    /// Where each of `policy.places` is carried, in the same order.
    pub carriers: Vec<Carrier>,
    pub mcp: Option<McpServer>,
}

/// One endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    host: Host,
    port: u16,
    pub methods: Vec<String>,
    path: PathPattern,
    path_text: String,
}

/// The part of a request that carries a credential, whatever stands around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carrier {
    Header(HeaderName),
    Query(String),
}

/// How far a request is from what a binding lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    OtherHost,
    OtherPath,
    OtherMethod,
    Bound,
}

impl Binding {
    pub fn compile(policy: &BindingPolicy) -> Result<Self, PolicyError> {
        let id = || policy.binding_id.clone();
        if !miosa_vault::placeholder::is_well_formed(&policy.placeholder) {
            return Err(PolicyError::Placeholder { binding: id() });
        }
        if policy.endpoints.is_empty() || policy.places.is_empty() {
            return Err(PolicyError::Nowhere { binding: id() });
        }
        let endpoints: Option<Vec<_>> = policy.endpoints.iter().map(Endpoint::compile).collect();
        let carriers: Option<Vec<_>> = policy.places.iter().map(Carrier::compile).collect();
        let mcp = policy.mcp.as_ref().map(McpServer::compile);
        if matches!(mcp, Some(None)) {
            return Err(PolicyError::Mcp { binding: id() });
        }
        Ok(Self {
            mcp: mcp.flatten(),
            endpoints: endpoints.ok_or_else(|| PolicyError::Endpoint { binding: id() })?,
            carriers: carriers.ok_or_else(|| PolicyError::Place { binding: id() })?,
            policy: Arc::new(policy.clone()),
        })
    }

    /// It as the rule that decided.
    pub fn rule_id(&self) -> String {
        format!("binding:{}", self.policy.binding_id)
    }

    /// How near a request comes to one of the endpoints.
    pub fn reach(&self, to: &Destination, method: &str, path: &str) -> Reach {
        let reaches = self
            .endpoints
            .iter()
            .map(|endpoint| endpoint.reach(to, method, path));
        reaches.max().unwrap_or(Reach::OtherHost)
    }

    /// Whether an endpoint is on this host, whatever the port.
    pub fn is_on_host(&self, host: &Host) -> bool {
        let is_on = |endpoint: &Endpoint| endpoint.host == *host || is_off(Defence::HostMatch);
        self.endpoints.iter().any(is_on)
    }

    /// Whether an endpoint is on this host and port, over TLS.
    pub fn is_at(&self, to: &Destination) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.is_at(to))
    }

    /// Whether some request could be meant for both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let same_carrier = self
            .carriers
            .iter()
            .any(|carrier| other.carriers.contains(carrier));
        let overlap = |one: &Endpoint| other.endpoints.iter().any(|another| one.overlaps(another));
        same_carrier && self.endpoints.iter().any(overlap)
    }

    /// The endpoints, for people.
    pub fn describe_endpoints(&self) -> Vec<String> {
        self.endpoints.iter().map(Endpoint::describe).collect()
    }

    /// The places, for people.
    pub fn describe_places(&self) -> Vec<String> {
        let env = &self.policy.env_name;
        let describe = |place: &Place| match place {
            Place::Header { name, prefix } => format!("header {name}: {prefix}${env}"),
            Place::Basic => format!("header authorization: Basic with ${env} as password"),
            Place::Query { name } => format!("query parameter {name}=${env}"),
            Place::AwsHeader(scope) => {
                format!(
                    "AWS signature in a header, with ${env} {}",
                    describe_scope(scope)
                )
            }
            Place::AwsQuery(scope) => {
                format!(
                    "AWS signature in the query, with ${env} {}",
                    describe_scope(scope)
                )
            }
        };
        self.policy.places.iter().map(describe).collect()
    }
}

impl Endpoint {
    fn compile(endpoint: &miosa_api::broker::Endpoint) -> Option<Self> {
        let host = Host::parse(&endpoint.host)?;
        let canonical = host.name() == Some(endpoint.host.as_str());
        let methods_are_fine = endpoint
            .methods
            .iter()
            .all(|method| is_bindable_method(method));
        let fine =
            canonical && endpoint.port != 0 && !endpoint.methods.is_empty() && methods_are_fine;
        fine.then_some(())?;
        Some(Self {
            host,
            port: endpoint.port,
            methods: endpoint.methods.clone(),
            path: PathPattern::parse(&endpoint.path)?,
            path_text: endpoint.path.clone(),
        })
    }

    fn is_at(&self, to: &Destination) -> bool {
        let is_host = self.host == to.host || is_off(Defence::HostMatch);
        let cleartext = !to.tls && is_off(Defence::Cleartext);
        is_host && (cleartext || (to.tls && self.port == to.port))
    }

    fn reach(&self, to: &Destination, method: &str, path: &str) -> Reach {
        if !self.is_at(to) {
            Reach::OtherHost
        } else if !self.path.matches(path) && !is_off(Defence::PathMatch) {
            Reach::OtherPath
        } else if !self.methods.iter().any(|listed| listed == method)
            && !is_off(Defence::MethodMatch)
        {
            Reach::OtherMethod
        } else {
            Reach::Bound
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.host == other.host
            && self.port == other.port
            && self.path.overlaps(&other.path)
            && self
                .methods
                .iter()
                .any(|method| other.methods.contains(method))
    }

    fn describe(&self) -> String {
        let port = if self.port == 443 {
            String::new()
        } else {
            format!(":{}", self.port)
        };
        format!(
            "{} https://{}{port}{}",
            self.methods.join(","),
            self.host,
            self.path_text
        )
    }
}

impl Carrier {
    fn compile(place: &Place) -> Option<Self> {
        match place {
            Place::Header { name, prefix } => {
                let header = HeaderName::from_lowercase(name.as_bytes()).ok()?;
                (is_bindable_header(name) && is_bindable_prefix(prefix))
                    .then_some(Self::Header(header))
            }
            Place::Basic => Some(Self::Header(AUTHORIZATION)),
            Place::Query { name } => {
                let fine = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
                fine.then(|| Self::Query(name.clone()))
            }
            Place::AwsHeader(scope) => scope.is_sound().then_some(Self::Header(AUTHORIZATION)),
            Place::AwsQuery(scope) => {
                let query = Self::Query(sigv4::CREDENTIAL_PARAMETER.to_owned());
                scope.is_sound().then_some(query)
            }
        }
    }
}

fn describe_scope(scope: &AwsScope) -> String {
    let (services, regions) = (scope.services.join(" or "), scope.regions.join(" or "));
    format!("as access key id, for {services} in {regions}")
}

fn is_bindable_method(method: &str) -> bool {
    let is_upper = !method.is_empty()
        && method
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    is_upper && !matches!(method, "CONNECT" | "TRACE" | "TRACK")
}
