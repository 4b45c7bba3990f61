//! Who asks, and whom.

use std::fmt;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::call::Call;
use crate::{ClientError, Endpoint};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one server on behalf of one key. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    endpoint: Endpoint,
    headers: HeaderMap,
}

/// Settings of a [`Client`].
#[derive(Default)]
pub struct ClientBuilder {
    key: Option<String>,
    tenant: Option<String>,
    workspace: Option<String>,
    user_agent: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Sends this key with every request.
    #[must_use]
    pub fn key(mut self, key: Option<String>) -> Self {
        self.key = key;
        self
    }

    /// Names the tenant the requests are about.
    #[must_use]
    pub fn tenant(mut self, tenant: Option<String>) -> Self {
        self.tenant = tenant;
        self
    }

    /// Names the workspace the requests are about.
    #[must_use]
    pub fn workspace(mut self, workspace: Option<String>) -> Self {
        self.workspace = workspace;
        self
    }

    /// Name and version of the program.
    #[must_use]
    pub fn user_agent(mut self, name: &str) -> Self {
        self.user_agent = Some(name.to_owned());
        self
    }

    /// Makes the client. No connection is made yet.
    ///
    /// # Errors
    /// [`ClientError::Argument`] when a value cannot stand in a header.
    pub fn build(self, endpoint: Endpoint) -> Result<Client, ClientError> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.key {
            headers.insert(AUTHORIZATION, authorization(key)?);
        }
        let scopes = [
            ("x-miosa-tenant", "the tenant", &self.tenant),
            ("x-miosa-workspace", "the workspace", &self.workspace),
        ];
        for (name, what, value) in scopes {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), header(what, value, value)?);
            }
        }
        let agent = self
            .user_agent
            .unwrap_or_else(|| format!("miosa-client/{}", env!("CARGO_PKG_VERSION")));
        let http = reqwest::Client::builder()
            .user_agent(agent)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy_for_loopback(&endpoint)
            .build()
            .map_err(|source| ClientError::Network {
                url: endpoint.as_str().to_owned(),
                source,
            })?;
        Ok(Client {
            http,
            endpoint,
            headers,
        })
    }
}

/// A proxy of the environment must not see what goes to a server on this machine.
trait NoProxyForLoopback {
    fn no_proxy_for_loopback(self, endpoint: &Endpoint) -> Self;
}

impl NoProxyForLoopback for reqwest::ClientBuilder {
    fn no_proxy_for_loopback(self, endpoint: &Endpoint) -> Self {
        if endpoint.is_loopback() {
            self.no_proxy()
        } else {
            self
        }
    }
}

fn authorization(key: &str) -> Result<HeaderValue, ClientError> {
    let mut value = header("the API key", "…", &format!("Bearer {key}"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn header(what: &'static str, shown: &str, value: &str) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_str(value).map_err(|_| ClientError::Argument {
        what,
        given: shown.to_owned(),
    })
}

impl Client {
    /// Settings to make a client from.
    #[must_use]
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The same client with another key; connections are shared.
    ///
    /// # Errors
    /// [`ClientError::Argument`] when the key cannot stand in a header.
    pub fn with_key(&self, key: &str) -> Result<Self, ClientError> {
        let mut client = self.clone();
        client.headers.insert(AUTHORIZATION, authorization(key)?);
        Ok(client)
    }

    /// The server.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    pub(crate) fn get(&self, path: impl Into<String>) -> Call<'_> {
        Call::new(self, Method::GET, path.into())
    }

    pub(crate) fn post(&self, path: impl Into<String>) -> Call<'_> {
        Call::new(self, Method::POST, path.into())
    }

    pub(crate) fn put(&self, path: impl Into<String>) -> Call<'_> {
        Call::new(self, Method::PUT, path.into())
    }

    pub(crate) fn patch(&self, path: impl Into<String>) -> Call<'_> {
        Call::new(self, Method::PATCH, path.into())
    }

    pub(crate) fn delete(&self, path: impl Into<String>) -> Call<'_> {
        Call::new(self, Method::DELETE, path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::Client;
    use crate::Endpoint;

    #[test]
    fn the_key_is_in_no_debug_text() {
        let client = Client::builder()
            .key(Some("msk_u_very_secret".into()))
            .build(Endpoint::parse("http://127.0.0.1:1").unwrap())
            .unwrap();
        let text = format!("{client:?} {:?}", client.headers());
        assert!(!text.contains("very_secret"), "{text}");
    }

    #[test]
    fn a_key_that_is_no_header_is_refused_without_being_shown() {
        let error = Client::builder()
            .key(Some("bad\nkey".into()))
            .build(Endpoint::parse("http://127.0.0.1:1").unwrap())
            .unwrap_err();
        assert!(!error.to_string().contains("bad"));
    }
}
