//! The switches of a build for tests.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{ALL, Defence};
use crate::error::EgressError;
use crate::policy::Host;

const VARIABLE: &str = "MIOSA_WEAKEN";

static OFF: OnceLock<Vec<Defence>> = OnceLock::new();
/// Who dialled what under which name, the last first.
static DIALLED: Mutex<Vec<(String, SocketAddr)>> = Mutex::new(Vec::new());

/// Whether a defence is switched off.
#[must_use]
pub fn is_off(defence: Defence) -> bool {
    OFF.get().is_some_and(|off| off.contains(&defence))
}

/// Names of what is switched off.
#[must_use]
pub fn off() -> Vec<String> {
    let named = ALL.iter().filter(|(defence, _)| is_off(*defence));
    named.map(|(_, name)| (*name).to_owned()).collect()
}

/// Reads the variable.
///
/// # Errors
/// When it names a defence that does not exist.
pub fn start() -> Result<(), EgressError> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let defences = parse(&text)?;
    if !defences.is_empty() {
        tracing::error!(
            off = text,
            "DEFENCES ARE SWITCHED OFF: this broker is for tests only"
        );
    }
    OFF.get_or_init(|| defences);
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Defence>, EgressError> {
    let names = text
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let known = |name: &str| {
        let found = ALL.iter().find(|(_, known)| *known == name);
        found
            .map(|(defence, _)| *defence)
            .ok_or_else(|| EgressError::Weaken {
                name: name.to_owned(),
            })
    };
    names.map(known).collect()
}

/// Remembers what was dialled under `name`.
pub fn note_dialled(name: &str, address: SocketAddr) {
    let mut known = DIALLED.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(0, (name.to_owned(), address));
}

/// What was dialled last under the name of `host`.
pub fn dialled(host: &Host, port: u16) -> Option<SocketAddr> {
    let known = DIALLED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut known = known.iter();
    known
        .find(|(name, address)| host.name() == Some(name) && address.port() == port)
        .map(|(_, address)| *address)
}

/// The verifier, or one that takes every certificate.
pub fn verifier(
    defence: Defence,
    verifier: impl ServerCertVerifier + 'static,
) -> Arc<dyn ServerCertVerifier> {
    if is_off(defence) {
        Arc::new(Anything(verifier))
    } else {
        Arc::new(verifier)
    }
}

#[derive(Debug)]
struct Anything<V>(V);

impl<V: ServerCertVerifier> ServerCertVerifier for Anything<V> {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_taken() {
        assert_eq!(parse("").expect("nothing"), []);
        let two = parse(" authority,redact-body, ").expect("two");
        assert_eq!(two, [Defence::Authority, Defence::RedactBody]);
        assert!(parse("authority,everything").is_err());
    }
}
