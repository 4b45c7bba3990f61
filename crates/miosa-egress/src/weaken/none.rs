//! What a release has: nothing can be switched off.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;

use super::Defence;
use crate::error::EgressError;
use crate::policy::Host;

/// Whether a defence is switched off.
#[must_use]
pub const fn is_off(_: Defence) -> bool {
    false
}

/// Names of what is switched off.
#[must_use]
pub const fn off() -> Vec<String> {
    Vec::new()
}

/// All defences are on.
///
/// # Errors
/// None here.
pub const fn start() -> Result<(), EgressError> {
    Ok(())
}

/// Nothing is remembered of dialled addresses.
pub const fn note_dialled(_: &str, _: SocketAddr) {}

/// No dialled address is ever used.
pub const fn dialled(_: &Host, _: u16) -> Option<SocketAddr> {
    None
}

/// The verifier itself.
pub fn verifier(
    _: Defence,
    verifier: impl ServerCertVerifier + 'static,
) -> Arc<dyn ServerCertVerifier> {
    Arc::new(verifier)
}
