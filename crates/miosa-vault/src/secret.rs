//! The type a secret has everywhere in this product.

use miosa_api::limits::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

/// A credential's value: printable ASCII on one line, fit for a header.
///
/// It has no `Debug`, `Display`, `Clone` or `Serialize`, and its memory is wiped when it goes.
///
/// ```compile_fail
/// let secret = miosa_vault::SecretValue::parse("not to be printed").unwrap();
/// println!("{secret:?}");
/// ```
pub struct SecretValue(SecretString);

/// Why a text is no secret. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidSecret {
    /// Nothing, or white space alone.
    #[error("the secret is empty")]
    Empty,
    /// Shorter than [`SECRET_BYTES_MIN`].
    #[error(
        "the secret has fewer than {SECRET_BYTES_MIN} characters: too short to be a credential, and to be found again in an answer"
    )]
    TooShort,
    /// Longer than [`SECRET_BYTES_MAX`].
    #[error("the secret has more than {SECRET_BYTES_MAX} bytes: too long for a header")]
    TooLong,
    /// Line breaks inside.
    #[error("the secret has more than one line; give exactly the token")]
    MultiLine,
    /// A space or tab in front.
    #[error("the secret begins with white space; give exactly the token")]
    LeadingSpace,
    /// Letters no header can carry.
    #[error("the secret has characters outside ASCII; give exactly the token")]
    NotAscii,
    /// Control characters.
    #[error("the secret has control characters; give exactly the token")]
    Control,
    /// A placeholder in place of a secret.
    #[error("this is a placeholder of a sandbox, not a secret; give the provider's own token")]
    Placeholder,
}

impl SecretValue {
    /// Takes a secret as it was given, without the line end or spaces a shell left behind it.
    ///
    /// # Errors
    /// When the rest is not one line of printable ASCII of a sensible length.
    pub fn parse(raw: &str) -> Result<Self, InvalidSecret> {
        let text = raw.trim_end_matches([' ', '\t', '\r', '\n']);
        check(text)?;
        Ok(Self(SecretString::from(text)))
    }

    /// The value itself. The one opener: every use of it is a place to review.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Takes over bytes that were just opened, wiping them.
    pub(crate) fn from_opened(bytes: Vec<u8>) -> Result<Self, InvalidSecret> {
        let bytes = Zeroizing::new(bytes);
        let text = std::str::from_utf8(&bytes).map_err(|_| InvalidSecret::NotAscii)?;
        check(text)?;
        Ok(Self(SecretString::from(text)))
    }
}

fn check(text: &str) -> Result<(), InvalidSecret> {
    let problem = if text.trim().is_empty() {
        InvalidSecret::Empty
    } else if text.contains(['\n', '\r']) {
        InvalidSecret::MultiLine
    } else if !text.is_ascii() {
        InvalidSecret::NotAscii
    } else if text.starts_with([' ', '\t']) {
        InvalidSecret::LeadingSpace
    } else if text.bytes().any(|byte| byte.is_ascii_control()) {
        InvalidSecret::Control
    } else if text.contains(miosa_api::broker::PLACEHOLDER_PREFIX) {
        InvalidSecret::Placeholder
    } else if text.len() < SECRET_BYTES_MIN {
        InvalidSecret::TooShort
    } else if text.len() > SECRET_BYTES_MAX {
        InvalidSecret::TooLong
    } else {
        return Ok(());
    };
    Err(problem)
}
