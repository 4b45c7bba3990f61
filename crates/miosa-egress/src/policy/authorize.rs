//! The second decision: what to do with one request.

use std::sync::Arc;

use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use miosa_api::broker::{BindingPolicy, Place, RefusalCode};

use super::binding::{Binding, Carrier, Reach};
use super::compiled::CompiledPolicy;
use super::connect::{Connect, is_neutral};
use super::foreign;
use super::host::Destination;
use super::mcp::McpServer;
use super::path::is_canonical;
use super::place::{decoded, query_pairs};
use crate::mcp::no_login;
use crate::placeholder::{self, Found};
use crate::refusal::Refusal;
use crate::request::Received;
use crate::weaken::{Defence, is_off};

/// A request that may go out, with the credential it is to carry, if any.
pub struct Authorized {
    policy: Arc<CompiledPolicy>,
    received: Received,
    credential: Option<Credential>,
}

/// Which binding, and which of its places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Credential {
    binding: usize,
    place: usize,
}

impl Authorized {
    /// The policy that decided.
    #[must_use]
    pub const fn policy(&self) -> &Arc<CompiledPolicy> {
        &self.policy
    }

    /// The rule that lets it pass, or what does instead of one; and the policy that is of.
    pub(crate) fn allowed_by(&self) -> (String, Option<&str>) {
        let (to, received) = (self.received.destination(), &self.received);
        self.policy
            .allowing_rule(to, received.method(), received.path())
    }

    /// Whether some credential belongs to its host.
    pub(crate) fn is_on_bound_host(&self) -> bool {
        self.policy.is_bound_host(&self.destination().host)
    }

    /// The binding whose value is to be put in.
    #[must_use]
    pub fn binding(&self) -> Option<&BindingPolicy> {
        let credential = self.credential?;
        Some(&self.policy.bindings[credential.binding].policy)
    }

    /// The MCP server the credential is meant for, if the request is one to such a server.
    pub(crate) fn mcp(&self) -> Option<&McpServer> {
        let server = self.policy.bindings[self.credential?.binding]
            .mcp
            .as_ref()?;
        let speaks = server.speaks_at(self.received.destination(), self.received.path());
        speaks.then_some(server)
    }

    /// The request's head.
    pub(crate) const fn parts(&self) -> &Parts {
        self.received.parts()
    }

    /// Where the request goes.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        self.received.destination()
    }

    /// The request, and which place of which binding its placeholder stands in.
    pub(crate) fn into_inner(self) -> (Received, Option<(Arc<BindingPolicy>, usize)>) {
        let use_of = |credential: Credential| {
            let binding = &self.policy.bindings[credential.binding].policy;
            (Arc::clone(binding), credential.place)
        };
        (self.received, self.credential.map(use_of))
    }
}

impl CompiledPolicy {
    /// Decides on a request.
    ///
    /// # Errors
    /// With what was wrong, as precisely as it may be said.
    pub fn authorize(self: &Arc<Self>, received: Received) -> Result<Authorized, Refusal> {
        if let Connect::Deny(refusal) = self.decide_connect(received.destination()) {
            return Err(refusal);
        }
        self.check_shape(&received)?;
        let found = placeholder::scan(self, received.parts());
        let credential = match found.first() {
            None => self.without_placeholder(&received).map(|()| None)?,
            Some(first) => Some(self.with_placeholder(&received, first, &found)?),
        };
        self.check_rules(received.destination(), received.method(), received.path())?;
        Ok(Authorized {
            policy: Arc::clone(self),
            received,
            credential,
        })
    }

    /// On a host where method and path decide, both must have one reading.
    fn check_shape(&self, received: &Received) -> Result<(), Refusal> {
        let host = &received.destination().host;
        let is_bound = self.is_bound_host(host);
        let is_one = is_canonical(received.path()) || is_off(Defence::PathCanonical);
        if (is_bound || self.has_path_rules(host)) && !is_one {
            return Err(path_not_canonical());
        }
        if is_bound || self.has_path_rules(host) {
            self.check_method(received)?;
            check_overrides(received)?;
        }
        Ok(())
    }

    fn check_method(&self, received: &Received) -> Result<(), Refusal> {
        const ORDINARY: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = received.method();
        let mut endpoints = self.bindings.iter().flat_map(|binding| &binding.endpoints);
        let is_listed =
            endpoints.any(|endpoint| endpoint.methods.iter().any(|listed| listed == method));
        if ORDINARY.contains(&method) || is_listed {
            return Ok(());
        }
        let hint = "Write the method in upper case, and use an ordinary one.";
        let message = "This host takes no method of that name.";
        Err(Refusal::new(RefusalCode::MethodNotBound, message, hint))
    }

    fn with_placeholder(
        &self,
        received: &Received,
        first: &Found,
        found: &[Found],
    ) -> Result<Credential, Refusal> {
        if found.iter().any(|one| one.binding.is_none()) {
            return Err(placeholder_unknown());
        }
        let index = first.binding.ok_or_else(placeholder_unknown)?;
        let binding = &self.bindings[index];
        let to = received.destination();
        if !to.tls && !is_off(Defence::Cleartext) {
            return Err(cleartext(&binding.policy.env_name)
                .by_rule(&binding.rule_id())
                .with_allowed(binding.describe_endpoints()));
        }
        match binding.reach(to, received.method(), received.path()) {
            Reach::Bound => {}
            short => return Err(out_of_reach(binding, short, to)),
        }
        let expected = binding.check_signature(received)?;
        let place = binding
            .place_in(received.parts())
            .filter(|_| found.len() == expected);
        let Some(place) = place else {
            if is_off(Defence::PlaceMatch) {
                return Ok(Credential {
                    binding: index,
                    place: 0,
                });
            }
            return Err(misplaced(binding));
        };
        if self.has_other_credential(received, &binding.carriers[place]) {
            return Err(other_credential(binding));
        }
        Ok(Credential {
            binding: index,
            place,
        })
    }

    /// Whether another carrier than the chosen one holds something.
    fn has_other_credential(&self, received: &Received, chosen: &Carrier) -> bool {
        let is_other = |carrier: &Carrier| carrier != chosen && carrier.is_used(received.parts());
        self.carriers_at(received.destination())
            .iter()
            .any(is_other)
            || foreign::is_carried(received.parts(), Some(chosen))
    }

    /// Everything that can carry a credential to this host.
    fn carriers_at(&self, to: &Destination) -> Vec<Carrier> {
        let here = self
            .bindings
            .iter()
            .filter(|binding| binding.is_on_host(&to.host));
        let declared = here.flat_map(|binding| {
            let declared = binding.carriers.iter().cloned();
            declared.chain(binding.other_carriers())
        });
        std::iter::once(Carrier::Header(AUTHORIZATION))
            .chain(declared)
            .collect()
    }

    fn without_placeholder(&self, received: &Received) -> Result<(), Refusal> {
        let (to, parts) = (received.destination(), received.parts());
        if !self.is_bound_host(&to.host) || is_off(Defence::RequirePlaceholder) {
            return Ok(());
        }
        let at_endpoint = |binding: &&Binding| {
            binding.reach(to, received.method(), received.path()) == Reach::Bound
        };
        self.refuse_login(received)?;
        let here = self.bindings.iter().find(at_endpoint);
        let near = || {
            self.bindings
                .iter()
                .find(|binding| binding.is_on_host(&to.host))
        };
        let mut carriers = self.carriers_at(to);
        carriers.push(Carrier::Header(COOKIE));
        let is_declared = carriers.iter().any(|carrier| carrier.is_used(parts));
        if is_declared || foreign::is_carried(parts, None) {
            let env = near().map_or("", |binding| &binding.policy.env_name);
            let refusal = if to.tls {
                own_credential(env)
            } else {
                cleartext(env)
            };
            return Err(match near() {
                Some(binding) => refusal
                    .by_rule(&binding.rule_id())
                    .with_allowed(binding.describe_places()),
                None => refusal,
            });
        }
        match here {
            Some(binding) if !is_neutral(received.method(), received.path()) => {
                binding.check_form(received)?;
                Err(credential_required(binding))
            }
            _ => Ok(()),
        }
    }
}

impl CompiledPolicy {
    /// Row 173: a client that finds a login opens a browser nobody sees.
    fn refuse_login(&self, received: &Received) -> Result<(), Refusal> {
        const DISCOVERY: &[&str] = &[
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
        ];
        let (to, path) = (received.destination(), received.path());
        let is_below = |of: &&str| {
            path.strip_prefix(of)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !DISCOVERY.iter().any(is_below) || is_off(Defence::McpLogin) {
            return Ok(());
        }
        let is_here =
            |binding: &&Binding| binding.mcp.as_ref().is_some_and(|server| server.is_at(to));
        match self.bindings.iter().find(is_here) {
            None => Ok(()),
            Some(binding) => {
                let BindingPolicy {
                    connector,
                    env_name,
                    ..
                } = &*binding.policy;
                Err(no_login(connector, env_name).by_rule(&binding.rule_id()))
            }
        }
    }
}

/// Row 46 and its like: what makes a server take another method or path than the request line says.
fn check_overrides(received: &Received) -> Result<(), Refusal> {
    const HEADERS: &[&str] = &[
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-original-uri",
    ];
    let parts = received.parts();
    let in_header = HEADERS.iter().any(|name| parts.headers.contains_key(*name));
    let in_query = query_pairs(parts.uri.query()).any(|(key, _)| decoded(key) == "_method");
    if !in_header && !in_query {
        return Ok(());
    }
    let message = "The request asks the server to take another method or path than it says.";
    Err(Refusal::new(
        RefusalCode::MethodNotBound,
        message,
        "Send the method and path themselves.",
    ))
}

fn path_not_canonical() -> Refusal {
    let message = "The path to this host can be read in two ways (dot segments, doubled or encoded slashes, `;`, double encoding, control or non-ASCII bytes).";
    Refusal::new(
        RefusalCode::PathNotCanonical,
        message,
        "Send the plain path, without those.",
    )
}

fn placeholder_unknown() -> Refusal {
    let message = "The request carries a placeholder that this sandbox does not have.";
    let hint = "Use the variable's current value exactly as it is; a process started before an attach or detach has an old one.";
    Refusal::new(RefusalCode::PlaceholderUnknown, message, hint)
}

fn cleartext(env: &str) -> Refusal {
    let message = format!("{env} or another credential was sent to a bound host over plain HTTP.");
    Refusal::new(RefusalCode::CleartextCredential, message, "Use https.")
}

fn out_of_reach(binding: &Binding, reach: Reach, to: &Destination) -> Refusal {
    let (connector, env) = (&binding.policy.connector, &binding.policy.env_name);
    let (code, what) = match reach {
        Reach::OtherMethod => (
            RefusalCode::MethodNotBound,
            "with this method at this path".to_owned(),
        ),
        Reach::OtherPath => (
            RefusalCode::PathNotBound,
            format!("at this path of {}", to.authority()),
        ),
        Reach::OtherHost | Reach::Bound => (
            RefusalCode::PlaceholderNotBound,
            format!("at {}", to.authority()),
        ),
    };
    let message = format!("{env} ({connector}) is not for use {what}.");
    let hint = format!(
        "Send {env} only to the endpoints in `allowed`; for more, ask the sandbox's owner to attach a connector that reaches further."
    );
    Refusal::new(code, message, hint)
        .by_rule(&binding.rule_id())
        .with_allowed(binding.describe_endpoints())
}

fn misplaced(binding: &Binding) -> Refusal {
    let env = &binding.policy.env_name;
    let message = format!("{env} is not alone in its declared place in the request.");
    let hint = "Send it once, in one of the places in `allowed`, as the whole value, and no other placeholder with it.";
    Refusal::new(RefusalCode::PlaceholderMisplaced, message, hint)
        .by_rule(&binding.rule_id())
        .with_allowed(binding.describe_places())
}

fn other_credential(binding: &Binding) -> Refusal {
    let env = &binding.policy.env_name;
    let message = format!("The request carries another credential beside {env}.");
    let hint = "Send exactly one credential: the placeholder.";
    Refusal::new(RefusalCode::CredentialRequired, message, hint)
        .by_rule(&binding.rule_id())
        .with_allowed(binding.describe_places())
}

fn own_credential(env: &str) -> Refusal {
    let message =
        "The request carries a credential of its own to a host that a connector is bound to.";
    let hint = format!(
        "Send ${env}, the placeholder, at the connector's endpoints; elsewhere on this host send no credential."
    );
    Refusal::new(RefusalCode::CredentialRequired, message, hint)
}

fn credential_required(binding: &Binding) -> Refusal {
    let env = &binding.policy.env_name;
    let message = format!(
        "This endpoint belongs to {}; the request carries no credential.",
        binding.policy.connector
    );
    let hint = format!("Send ${env} in one of the places in `allowed`.");
    let refusal = Refusal::new(RefusalCode::CredentialRequired, message, hint)
        .by_rule(&binding.rule_id())
        .with_allowed(binding.describe_places());
    if binding.policy.places.contains(&Place::Basic) {
        refusal.with_basic_challenge()
    } else {
        refusal
    }
}
