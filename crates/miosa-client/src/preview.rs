//! Ports of a sandbox, and their public addresses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use miosa_api::preview::{Expose, Preview};
use serde_json::Value;
use url::Url;

use crate::path::sandbox;
use crate::{Answer, Client, ClientError};

/// Time for one look at a preview.
const PROBE_TIMEOUT: Duration = Duration::from_secs(15);

/// What one GET of a preview saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// Status of the answer, if there was one.
    pub status: Option<u16>,
    /// Milliseconds until its head.
    pub latency_ms: u64,
    /// Why there was no answer.
    pub error: Option<String>,
    /// Whether the name is served over TLS and the certificate is good.
    pub tls: bool,
}

impl Probe {
    /// Whether the application answered: 2xx, 3xx, or a page that wants a login.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self.status, Some(200..=399 | 401 | 403))
    }
}

impl Client {
    /// Makes a port reachable under a host name.
    ///
    /// # Errors
    /// As every call.
    pub async fn expose(&self, id: &str, body: &Expose) -> Result<Answer<Preview>, ClientError> {
        self.post(sandbox(id, "/expose")?)
            .json(body)?
            .answer()
            .await
    }

    /// Exposed ports.
    ///
    /// # Errors
    /// As every call.
    pub async fn previews(&self, id: &str) -> Result<Answer<Vec<Preview>>, ClientError> {
        self.get(sandbox(id, "/previews")?).answer().await
    }

    /// Listening ports inside.
    ///
    /// # Errors
    /// As every call.
    pub async fn ports(&self, id: &str) -> Result<Answer<Value>, ClientError> {
        self.get(sandbox(id, "/ports")?).answer().await
    }

    /// Looks at a preview from outside, without following redirects and without the API key. A name
    /// below `.localhost`, which many resolvers do not know, is looked up at the server's own address.
    pub async fn probe(&self, url: &str) -> Probe {
        let started = Instant::now();
        let outcome = self.probe_once(url).await;
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let tls = url.starts_with("https://");
        match outcome {
            Ok(status) => Probe {
                status: Some(status),
                latency_ms,
                error: None,
                tls,
            },
            Err(error) => Probe {
                status: None,
                latency_ms,
                error: Some(error),
                tls: false,
            },
        }
    }

    async fn probe_once(&self, url: &str) -> Result<u16, String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let http = self.preview_http(&url).await?;
        let response = http
            .get(url)
            .send()
            .await
            .map_err(|error| chain(&error.without_url()))?;
        Ok(response.status().as_u16())
    }

    /// A page of a preview as text, as [`Client::probe`] reaches it.
    ///
    /// # Errors
    /// Why there was no answer.
    pub async fn fetch_preview(&self, url: &str) -> Result<(u16, String), String> {
        let url = Url::parse(url).map_err(|error| error.to_string())?;
        let http = self.preview_http(&url).await?;
        let read = async {
            let response = http.get(url).send().await?;
            let status = response.status().as_u16();
            Ok((status, response.text().await?))
        };
        read.await
            .map_err(|error: reqwest::Error| chain(&error.without_url()))
    }

    async fn preview_http(&self, url: &Url) -> Result<reqwest::Client, String> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PROBE_TIMEOUT);
        let host = url.host_str().unwrap_or_default();
        if host == "localhost" || host.ends_with(".localhost") {
            let addresses = self.server_addresses().await?;
            builder = builder.no_proxy().resolve_to_addrs(host, &addresses);
        }
        builder.build().map_err(|error| chain(&error))
    }

    async fn server_addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let host = self.endpoint().host().trim_matches(['[', ']']);
        tokio::net::lookup_host((host, self.endpoint().port()))
            .await
            .map(Iterator::collect)
            .map_err(|error| format!("`{host}` does not resolve: {error}"))
    }
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}
