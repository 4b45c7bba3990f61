//! Why a call failed: no connection, an answer that is none, or an error the server named.

use miosa_api::error::ErrorDetail;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address of the server cannot be used.
    #[error("`{given}` is not the address of a server: {why}")]
    Endpoint {
        /// What was given.
        given: String,
        /// Why not.
        why: String,
    },
    /// An argument that cannot be part of a request.
    #[error("{what} cannot be `{given}`")]
    Argument {
        /// Which one.
        what: &'static str,
        /// Its value.
        given: String,
    },
    /// No connection, a broken one, or no answer in time.
    #[error("no answer from {url}")]
    Network {
        /// Address that was called, without its query.
        url: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered with an error.
    #[error("{}", .detail.message)]
    Api {
        /// HTTP status.
        status: u16,
        /// What the server said.
        detail: Box<ErrorDetail>,
    },
    /// The server answered with something that is not the contract.
    #[error("the server's answer was not understood: {what}")]
    Protocol {
        /// What was wrong.
        what: String,
    },
}

impl ClientError {
    /// The stable code of the server's error.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Api { detail, .. } => Some(&detail.code),
            _ => None,
        }
    }

    /// The HTTP status of the server's error.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub(crate) fn protocol(what: impl std::fmt::Display) -> Self {
        Self::Protocol {
            what: what.to_string(),
        }
    }
}
