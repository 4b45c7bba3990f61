//! A certificate authority for each sandbox, and the certificates it gives.
//!
//! The key is derived from the opening key, never stored; signatures are deterministic (RFC 6979) and
//! every field is fixed, so a broker that restarts has the same certificate, byte for byte. A sandbox
//! trusts its own authority only, and no other sandbox does.

use std::sync::Arc;
use std::time::Duration;

use miosa_api::limits::{LEAVES_AT_ONCE_MAX, LEAVES_PER_SANDBOX_MAX, LEAVES_PER_SECOND_MAX};
use moka::sync::Cache;
use p256::ecdsa::signature::Signer;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use crate::rate::Rate;

/// Leaves are made anew after this.
const LEAF_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Leaves are valid from so long ago, for sandboxes whose clock is behind.
const LEAF_BACKDATED: time::Duration = time::Duration::days(30);
/// Leaves are valid for so long.
const LEAF_VALID: time::Duration = time::Duration::days(90);

/// The authority could not be made or could not sign.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The derived bytes are no key.
    #[error("the derived bytes are not a key of the curve")]
    Key,
    /// A certificate could not be made.
    #[error("a certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// Too many names in a short time.
    #[error("too many certificates in a short time")]
    TooMany,
    /// TLS refused the certificate.
    #[error("TLS refused the certificate")]
    Tls(#[from] rustls::Error),
}

/// Signs with the sandbox's key. Not `Debug`.
struct CaKey {
    key: p256::ecdsa::SigningKey,
    public: Vec<u8>,
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: p256::ecdsa::Signature = self
            .key
            .try_sign(message)
            .map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// The authority of one sandbox.
pub struct SandboxCa {
    issuer: Issuer<'static, CaKey>,
    certificate: CertificateDer<'static>,
    pem: String,
    leaf_key: KeyPair,
    leaves: Cache<String, Arc<ServerConfig>>,
    minting: Rate,
}

impl SandboxCa {
    /// The authority with the derived key `scalar`.
    pub fn new(scalar: &[u8], sandbox_id: &str) -> Result<Self, CaError> {
        let key = p256::ecdsa::SigningKey::from_slice(scalar).map_err(|_| CaError::Key)?;
        let public = key
            .verifying_key()
            .to_encoded_point(false)
            .as_bytes()
            .to_vec();
        let key = CaKey { key, public };
        let params = ca_params(sandbox_id);
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
            leaf_key: KeyPair::generate()?,
            leaves: Cache::builder()
                .max_capacity(LEAVES_PER_SANDBOX_MAX)
                .time_to_live(LEAF_KEPT)
                .build(),
            minting: Rate::new(LEAVES_AT_ONCE_MAX, LEAVES_PER_SECOND_MAX),
        })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// How TLS is answered in the name of `host`. Session tickets are per name: each has a
    /// configuration, and with it a session store, of its own.
    pub fn server_config(&self, host: &str) -> Result<Arc<ServerConfig>, CaError> {
        if let Some(config) = self.leaves.get(host) {
            return Ok(config);
        }
        if !self.minting.take() {
            return Err(CaError::TooMany);
        }
        let config = Arc::new(self.make_server_config(host)?);
        self.leaves.insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }

    fn make_server_config(&self, host: &str) -> Result<ServerConfig, CaError> {
        let leaf = leaf_params(host)?.signed_by(&self.leaf_key, &self.issuer)?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn ca_params(sandbox_id: &str) -> CertificateParams {
    let short: String = sandbox_id
        .chars()
        .rev()
        .take(8)
        .collect::<Vec<_>>()
        .iter()
        .rev()
        .collect();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("miosa sandbox CA {short}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params
}

fn leaf_params(host: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    let now = OffsetDateTime::now_utc();
    params.distinguished_name = rcgen::DistinguishedName::new();
    // A common name holds 64 characters; clients read the alternative name.
    params.distinguished_name.push(
        DnType::CommonName,
        host.chars().take(64).collect::<String>(),
    );
    params.not_before = now - LEAF_BACKDATED;
    params.not_after = now + LEAF_VALID;
    params.serial_number = Some(SerialNumber::from_slice(uuid::Uuid::new_v4().as_bytes()));
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_gives_the_same_certificate() {
        let first = SandboxCa::new(&[7; 32], "sandbox-1").expect("an authority");
        let again = SandboxCa::new(&[7; 32], "sandbox-1").expect("an authority");
        let other = SandboxCa::new(&[8; 32], "sandbox-1").expect("an authority");
        assert_eq!(first.pem(), again.pem());
        assert_ne!(first.pem(), other.pem());
    }

    #[test]
    fn row_142_names_without_end_make_no_certificates_without_end() {
        let ca = SandboxCa::new(&[7; 32], "sandbox-1").expect("an authority");
        let known = ca.server_config("a.example.com").expect("a leaf");
        while ca.minting.take() {}
        let refused = ca.server_config("b.example.com");
        assert!(matches!(refused, Err(CaError::TooMany)));
        let again = ca.server_config("a.example.com").expect("the known one");
        assert!(Arc::ptr_eq(&known, &again));
    }

    #[test]
    fn leaves_are_kept_per_host() {
        let ca = SandboxCa::new(&[7; 32], "sandbox-1").expect("an authority");
        let one = ca.server_config("a.example.com").expect("a leaf");
        assert!(Arc::ptr_eq(
            &one,
            &ca.server_config("a.example.com").expect("a leaf")
        ));
        // Row 20: nothing is accepted before a handshake, and sessions are of one name.
        assert_eq!(
            (one.max_early_data_size, one.ticketer.enabled()),
            (0, false)
        );
        let other = ca.server_config("b.example.com").expect("a leaf");
        assert!(!Arc::ptr_eq(&one.session_storage, &other.session_storage));
        assert!(!Arc::ptr_eq(
            &one,
            &ca.server_config("b.example.com").expect("a leaf")
        ));
        ca.server_config("192.0.2.1")
            .expect("a leaf for an address");
    }
}
