//! A secret as requests use it: opened once a generation, together with the search that takes it out of
//! answers, which costs more to make than a request costs otherwise.

use miosa_vault::SecretValue;

use crate::redact::Redactor;

/// An opened secret. Has no `Debug`; wiped when the last request that uses it is gone.
pub struct Opened {
    secret: SecretValue,
    redactor: Redactor,
}

impl Opened {
    /// `secret`, to be replaced by `placeholder` where it comes back.
    #[must_use]
    pub fn new(secret: SecretValue, placeholder: &str) -> Self {
        Self {
            redactor: Redactor::new(&secret, placeholder),
            secret,
        }
    }

    /// The value.
    #[must_use]
    pub const fn secret(&self) -> &SecretValue {
        &self.secret
    }

    /// What takes the value out of one answer.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.redactor.another()
    }
}
