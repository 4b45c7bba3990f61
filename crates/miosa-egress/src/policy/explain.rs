//! What would become of a request: the decisions themselves, asked without a connection.
//!
//! INVARIANT: nothing is decided here. A question is made into the request it is about, and that goes
//! through `decide_connect`, `Received::new` and `authorize` like any other.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Uri};
use miosa_api::broker::{Effect, Place};
use miosa_api::egress::{ExplainedBinding, ExplainedCredential, Explanation};
use thiserror::Error;

use super::binding::{Binding, Reach};
use super::compiled::CompiledPolicy;
use super::connect::Connect;
use super::host::{Destination, Host};
use super::signing;
use crate::refusal::Refusal;
use crate::request::Received;

/// A request that is only asked about.
#[derive(Debug)]
pub struct Question {
    /// Where it would go.
    pub to: Destination,
    parts: Parts,
}

/// Why a question cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QuestionError {
    /// No absolute address.
    #[error(
        "the address is not `https://host/path` or `http://host/path` with a plain host name or address"
    )]
    Url,
    /// No method.
    #[error("the method is not an HTTP method")]
    Method,
}

impl Question {
    /// Reads method and address.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn parse(method: &str, url: &str) -> Result<Self, QuestionError> {
        let uri: Uri = url.parse().map_err(|_| QuestionError::Url)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(QuestionError::Url),
        };
        let authority = uri.authority().ok_or(QuestionError::Url)?;
        let is_plain = !authority.as_str().contains('@');
        let host = Host::parse(authority.host()).filter(|_| is_plain);
        let to = Destination {
            host: host.ok_or(QuestionError::Url)?,
            port: uri
                .port_u16()
                .unwrap_or_else(|| Destination::default_port(tls)),
            tls,
        };
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let method =
            http::Method::from_bytes(method.as_bytes()).map_err(|_| QuestionError::Method)?;
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, to.authority())
            .body(())
            .map_err(|_| QuestionError::Url)?;
        let (parts, ()) = request.into_parts();
        Ok(Self { to, parts })
    }

    fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// The request with a binding's placeholder in the first of its places.
    fn parts_with(&self, binding: Option<&Binding>) -> Parts {
        let mut parts = self.parts.clone();
        let Some((binding, place)) = binding.and_then(|b| Some((b, b.policy.places.first()?)))
        else {
            return parts;
        };
        let token = &binding.policy.placeholder;
        let header =
            |name: HeaderName, value: String| Some((name, HeaderValue::from_str(&value).ok()?));
        if let Place::AwsHeader(scope) | Place::AwsQuery(scope) = place {
            signing::state(&mut parts, token, scope);
            return parts;
        }
        let field = match place {
            Place::Header { name, prefix } => HeaderName::from_bytes(name.as_bytes())
                .ok()
                .and_then(|name| header(name, format!("{prefix}{token}"))),
            Place::Basic => header(
                AUTHORIZATION,
                format!("Basic {}", STANDARD.encode(format!("x:{token}"))),
            ),
            Place::Query { name } => {
                let separator = if parts.uri.query().is_some() {
                    '&'
                } else {
                    '?'
                };
                if let Ok(uri) = format!("{}{separator}{name}={token}", parts.uri).parse() {
                    parts.uri = uri;
                }
                None
            }
            Place::AwsHeader(_) | Place::AwsQuery(_) => None,
        };
        if let Some((name, value)) = field {
            parts.headers.insert(name, value);
        }
        parts
    }
}

impl CompiledPolicy {
    /// What would become of a request, with the credential it has to carry if there is one. `dial` has
    /// the last word on an address that is written out; names are resolved by nobody here.
    pub fn explain(
        self: &Arc<Self>,
        question: &Question,
        dial: impl Fn(&Destination) -> Result<(), Refusal>,
    ) -> Explanation {
        let (to, method, path) = (&question.to, question.method(), question.path());
        let here = || self.bindings.iter().filter(|b| b.is_on_host(&to.host));
        let needed = here().find(|b| b.reach(to, method, path) == Reach::Bound);
        let outcome = |credential| {
            let transport = self.outcome(question, credential)?;
            dial(to).map(|()| transport)
        };
        let decided = outcome(needed);
        let credentials = here().map(|binding| credential(binding, outcome(Some(binding))));
        let refusal = decided.as_ref().err();
        let endpoints = || here().flat_map(Binding::describe_endpoints).collect();
        Explanation {
            method: method.to_owned(),
            url: format!("{}://{}{path}", to.scheme(), to.authority()),
            decision: effect(refusal),
            transport: decided.as_ref().ok().map(|how| (*how).to_owned()),
            rule: match refusal {
                Some(refusal) => refusal.rule(),
                None => self.allowing_rule(to, method, path).0,
            },
            code: refusal.map(|refusal| refusal.code.as_str().to_owned()),
            message: refusal.map(|refusal| refusal.message.clone()),
            hint: refusal.map(|refusal| refusal.hint.clone()),
            allowed: refusal.map_or_else(endpoints, |refusal| refusal.allowed.clone()),
            binding: needed.map(explained),
            credentials: credentials.collect(),
            mode: self.mode,
            policy_generation: self.generation(),
        }
    }

    fn outcome(
        self: &Arc<Self>,
        question: &Question,
        credential: Option<&Binding>,
    ) -> Result<&'static str, Refusal> {
        let transport = match self.decide_connect(&question.to) {
            Connect::Deny(refusal) => return Err(refusal),
            // Nobody looks into a tunnel.
            Connect::Tunnel => return Ok("tunnel"),
            Connect::Intercept => "intercept",
            Connect::Plain => "http",
        };
        let received = Received::new(&question.to, question.parts_with(credential))?;
        self.authorize(received).map(|_| transport)
    }
}

fn effect(refusal: Option<&Refusal>) -> Effect {
    match refusal {
        Some(_) => Effect::Deny,
        None => Effect::Allow,
    }
}

fn explained(binding: &Binding) -> ExplainedBinding {
    ExplainedBinding {
        id: binding.policy.binding_id.clone(),
        connector: binding.policy.connector.clone(),
        env_name: binding.policy.env_name.clone(),
        places: binding.describe_places(),
    }
}

fn credential(binding: &Binding, outcome: Result<&str, Refusal>) -> ExplainedCredential {
    let refusal = outcome.err();
    ExplainedCredential {
        env_name: binding.policy.env_name.clone(),
        connector: binding.policy.connector.clone(),
        decision: effect(refusal.as_ref()),
        code: refusal.map(|refusal| refusal.code.as_str().to_owned()),
        allowed: binding.describe_endpoints(),
    }
}
