//! The certificate authority of the local providers, trusted by the broker through `--upstream-ca`.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// An authority whose key lives as long as this value.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate().context("no key for the local authority")?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "miosa local providers");
        let certificate = params
            .self_signed(&key)
            .context("no certificate for the local authority")?;
        Ok(Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names and its key, as PEM.
    pub fn leaf(&self, names: &[&str]) -> Result<(String, String)> {
        let (certificate, key) = self.sign(names)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn sign(&self, names: &[&str]) -> Result<(rcgen::Certificate, KeyPair)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).context("no certificate for these names")?;
        self.sign_params(params)
    }

    fn sign_params(&self, params: CertificateParams) -> Result<(rcgen::Certificate, KeyPair)> {
        let key = KeyPair::generate().context("no key for a local server")?;
        Ok((
            params
                .signed_by(&key, &self.issuer)
                .context("the leaf was not signed")?,
            key,
        ))
    }

    /// TLS settings of a server for these names; `h2` offered when asked for.
    pub fn server(&self, names: &[&str], http2: bool) -> Result<Arc<ServerConfig>> {
        serving(self.sign(names)?, http2)
    }

    /// TLS settings of a server whose certificate is no longer valid.
    pub fn expired(&self, name: &str) -> Result<Arc<ServerConfig>> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        serving(self.sign_params(params)?, false)
    }

    /// TLS settings of a server that wants a certificate of this authority from its caller.
    pub fn mutual(&self, name: &str) -> Result<Arc<ServerConfig>> {
        let (leaf, key) = self.sign(&[name])?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from(leaf.der().to_vec())],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )?;
        Ok(Arc::new(config))
    }
}

fn serving((leaf, key): (rcgen::Certificate, KeyPair), http2: bool) -> Result<Arc<ServerConfig>> {
    let chain = vec![CertificateDer::from(leaf.der().to_vec())];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("no TLS versions")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the leaf does not fit its key")?;
    config.alpn_protocols = if http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    Ok(Arc::new(config))
}
