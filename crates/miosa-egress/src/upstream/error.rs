//! Why there is no connection to a provider.

use miosa_api::broker::RefusalCode;

/// A failure on the way to a provider. Says nothing of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The name does not resolve.
    #[error("the name does not resolve")]
    NotFound,
    /// It resolves to special addresses only.
    #[error("the name resolves to an address that is not allowed")]
    AddressNotAllowed,
    /// It resolves to addresses that a rule of the sandbox refuses.
    #[error("a rule refuses the address the name resolves to")]
    AddressDenied,
    /// Nobody answers there, or not in time.
    #[error("no connection could be made")]
    Unreachable,
    /// The certificate does not verify.
    #[error("the certificate does not verify")]
    Certificate,
    /// TLS failed otherwise.
    #[error("the TLS handshake failed")]
    Handshake,
}

impl DialError {
    /// The code the sandbox sees.
    #[must_use]
    pub const fn code(self) -> RefusalCode {
        match self {
            Self::NotFound => RefusalCode::UpstreamNotFound,
            Self::AddressNotAllowed => RefusalCode::AddressNotAllowed,
            Self::AddressDenied => RefusalCode::HostDenied,
            Self::Unreachable => RefusalCode::UpstreamUnreachable,
            Self::Certificate => RefusalCode::UpstreamCertificate,
            Self::Handshake => RefusalCode::UpstreamProtocol,
        }
    }
}
