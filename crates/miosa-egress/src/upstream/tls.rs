//! Whom the broker trusts as a provider.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::Verifier;

use crate::config::Config;
use crate::error::EgressError;
use crate::weaken::{self, Defence};

/// TLS towards providers: the host's own roots and the operator's.
pub fn client_config(config: &Config) -> Result<ClientConfig, EgressError> {
    let mut extra = Vec::new();
    for path in &config.extra_upstream_ca {
        extra.extend(authorities(path)?);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    client_config_with(extra, provider).map_err(EgressError::UpstreamTls)
}

fn client_config_with(
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, rustls::Error> {
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))?;
    let verifier = weaken::verifier(Defence::UpstreamCertificate, verifier);
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        // Not dangerous: this is the host's own way to verify.
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, EgressError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| EgressError::UpstreamCa {
        path: path.to_owned(),
        source,
    };
    let pem = fs_err::read(path).map_err(|error| failed(error.into()))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(error.into()))?;
    if found.is_empty() {
        return Err(failed("no certificate in it".into()));
    }
    Ok(found)
}
