//! Puts the credential in: the only place that opens secrets, and the only one that makes a
//! [`Substituted`], which is the only thing that can be sent.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use miosa_api::broker::{BindingPolicy, Place, RefusalCode};
use miosa_vault::{OpenError, SecretValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::mcp::Cleared;
use crate::opened::Opened;
use crate::placeholder::basic_credentials;
use crate::policy::Destination;
use crate::redact::Redactor;
use crate::refusal::Refusal;
use crate::sigv4::{Stated, Where};
use crate::weaken::{Defence, is_off};

mod headers;

pub use headers::clean_response_headers;

/// A request as it goes out, with the credential in it if it has one. Has no `Debug`.
pub struct Substituted {
    destination: Destination,
    parts: Parts,
    credential: Option<Credential>,
}

struct Credential {
    binding: Arc<BindingPolicy>,
    opened: Arc<Opened>,
}

/// Why the value could not be put in. Says nothing of the value.
struct NotCarried;

impl Cleared {
    /// Opens the secret if one is to be put in, and puts it there. A request without one is left as
    /// it is, byte for byte, but on a host that a credential belongs to: there it asks for an answer that can
    /// be searched for what others before it left.
    ///
    /// # Errors
    /// When the secret does not open, or its place cannot carry it.
    pub fn substitute(
        self,
        open: &dyn Fn(&BindingPolicy) -> Result<Arc<Opened>, OpenError>,
    ) -> Result<Substituted, Refusal> {
        let authorized = self.into_authorized();
        let is_searched = authorized.is_on_bound_host();
        let (received, credential) = authorized.into_inner();
        let (destination, mut parts) = received.into_inner();
        let Some((binding, place)) = credential else {
            if is_searched {
                headers::make_searchable(&mut parts);
            }
            return Ok(Substituted {
                destination,
                parts,
                credential: None,
            });
        };
        let unavailable = || secret_unavailable(&binding);
        let place = binding.places.get(place).ok_or_else(unavailable)?;
        let opened = open(&binding).map_err(|_| unavailable())?;
        if matches!(place, Place::AwsHeader(_) | Place::AwsQuery(_)) {
            sign(&mut parts, &destination, place, &opened).map_err(|_| unavailable())?;
        } else {
            let carrier = put_in(&mut parts, place, &binding.placeholder, opened.secret())
                .map_err(|_| unavailable())?;
            headers::prepare_request(&mut parts, &destination, carrier.as_ref());
            headers::want_all(&mut parts);
        }
        let credential = Some(Credential { binding, opened });
        Ok(Substituted {
            destination,
            parts,
            credential,
        })
    }
}

impl Substituted {
    /// Where it goes.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The binding whose value is in it.
    #[must_use]
    pub fn binding(&self) -> Option<&BindingPolicy> {
        self.credential
            .as_ref()
            .map(|credential| &*credential.binding)
    }

    /// The same, to keep.
    #[must_use]
    pub fn shared_binding(&self) -> Option<Arc<BindingPolicy>> {
        let credential = self.credential.as_ref()?;
        Some(Arc::clone(&credential.binding))
    }

    /// What takes the value out of the answer. Each call gives one for one body or set of headers.
    #[must_use]
    pub fn redactor(&self) -> Option<Redactor> {
        self.opened().map(|opened| opened.redactor())
    }

    /// The value in it.
    pub(crate) fn opened(&self) -> Option<&Arc<Opened>> {
        self.credential
            .as_ref()
            .map(|credential| &credential.opened)
    }

    /// The head to send.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        self.parts
    }

    #[cfg(test)]
    pub(crate) const fn parts(&self) -> &Parts {
        &self.parts
    }
}

/// Puts the value in place of the placeholder; gives the header that now carries it.
fn put_in(
    parts: &mut Parts,
    place: &Place,
    placeholder: &str,
    secret: &SecretValue,
) -> Result<Option<HeaderName>, NotCarried> {
    if is_off(Defence::PlaceMatch) {
        return put_anywhere(parts, placeholder, secret);
    }
    match place {
        Place::Header { name, prefix } => {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NotCarried)?;
            let text = Zeroizing::new(format!("{prefix}{}", secret.expose()));
            parts.headers.insert(&name, sensitive(&text)?);
            Ok(Some(name))
        }
        Place::Basic => {
            let value = parts.headers.get(AUTHORIZATION).ok_or(NotCarried)?;
            let text = basic(value.as_bytes(), placeholder, secret)?;
            parts.headers.insert(AUTHORIZATION, sensitive(&text)?);
            Ok(Some(AUTHORIZATION))
        }
        Place::Query { name } => put_in_query(parts, name, secret).map(|()| None),
        // Nothing of these is ever put in: they sign.
        Place::AwsHeader(_) | Place::AwsQuery(_) => Err(NotCarried),
    }
}

/// Makes the head ready, and signs it as it is then: nothing of it may change after that.
fn sign(
    parts: &mut Parts,
    to: &Destination,
    place: &Place,
    opened: &Opened,
) -> Result<(), NotCarried> {
    let place = match place {
        Place::AwsQuery(_) => Where::Query,
        _ => Where::Header,
    };
    let keys = opened.aws_keys().ok_or(NotCarried)?;
    let stated = Stated::read(parts, place).and_then(Result::ok);
    headers::prepare_request(parts, to, Some(&AUTHORIZATION));
    let stated = stated.ok_or(NotCarried)?;
    stated
        .sign(parts, &to.authority(), keys)
        .map_err(|_| NotCarried)
}

/// Puts the value in place of the placeholder in whatever header has it: never a thing to do.
fn put_anywhere(
    parts: &mut Parts,
    placeholder: &str,
    secret: &SecretValue,
) -> Result<Option<HeaderName>, NotCarried> {
    for value in parts.headers.values_mut() {
        let Some(text) = value
            .to_str()
            .ok()
            .filter(|text| text.contains(placeholder))
        else {
            continue;
        };
        *value = sensitive(&text.replace(placeholder, secret.expose()))?;
    }
    Ok(None)
}

fn sensitive(text: &str) -> Result<HeaderValue, NotCarried> {
    let mut value = HeaderValue::from_str(text).map_err(|_| NotCarried)?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(
    value: &[u8],
    placeholder: &str,
    secret: &SecretValue,
) -> Result<Zeroizing<String>, NotCarried> {
    let credentials = basic_credentials(value).ok_or(NotCarried)?;
    let (user, password) = crate::policy::split_basic(&credentials).ok_or(NotCarried)?;
    let token = placeholder.as_bytes();
    let plain = if password == token {
        Zeroizing::new([user, b":", secret.expose().as_bytes()].concat())
    } else if user == token && !secret.expose().contains(':') {
        Zeroizing::new([secret.expose().as_bytes(), b":", password].concat())
    } else {
        return Err(NotCarried);
    };
    let encoded = Zeroizing::new(STANDARD.encode(plain.as_slice()));
    Ok(Zeroizing::new(format!("Basic {}", encoded.as_str())))
}

/// Replaces the value of one parameter; all else in the target stays byte for byte.
fn put_in_query(parts: &mut Parts, name: &str, secret: &SecretValue) -> Result<(), NotCarried> {
    let encoded =
        Zeroizing::new(utf8_percent_encode(secret.expose(), NON_ALPHANUMERIC).to_string());
    let query = parts.uri.query().ok_or(NotCarried)?;
    let replaced = query.split('&').map(|pair| {
        let key = pair.split_once('=').map_or(pair, |(key, _)| key);
        if crate::policy::decoded(key) == name {
            format!("{key}={}", encoded.as_str())
        } else {
            pair.to_owned()
        }
    });
    let replaced = Zeroizing::new(replaced.collect::<Vec<_>>().join("&"));
    let target = Zeroizing::new(format!("{}?{}", parts.uri.path(), replaced.as_str()));
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(target.parse().map_err(|_| NotCarried)?);
    parts.uri = http::Uri::from_parts(uri).map_err(|_| NotCarried)?;
    Ok(())
}

fn secret_unavailable(binding: &BindingPolicy) -> Refusal {
    let message = format!(
        "The secret of {} could not be opened or carried.",
        binding.connector
    );
    let hint = "Tell the sandbox's owner; storing the connector's secret again may help.";
    Refusal::new(RefusalCode::SecretUnavailable, message, hint)
}

#[cfg(test)]
mod tests;
