//! A secret as requests use it: opened once a generation, together with the search that takes it out of
//! answers, which costs more to make than a request costs otherwise.

use miosa_api::broker::{BindingPolicy, Place};
use miosa_vault::{AwsKeys, SecretValue};

use crate::redact::Redactor;

/// An opened secret. Has no `Debug`; wiped when the last request that uses it is gone.
pub struct Opened {
    secret: SecretValue,
    aws_keys: Option<AwsKeys>,
    redactor: Redactor,
}

impl Opened {
    /// `secret`, to be replaced by `placeholder` where it comes back.
    #[must_use]
    pub fn new(secret: SecretValue, placeholder: &str) -> Self {
        Self {
            redactor: Redactor::new(&secret, placeholder),
            aws_keys: None,
            secret,
        }
    }

    /// As a binding uses it: a value of AWS keys is several, each to be replaced where it comes back.
    #[must_use]
    pub fn of_binding(secret: SecretValue, binding: &BindingPolicy) -> Self {
        let signs = |place: &Place| matches!(place, Place::AwsHeader(_) | Place::AwsQuery(_));
        let mut opened = Self::new(secret, &binding.placeholder);
        if binding.places.iter().any(signs)
            && let Ok(keys) = AwsKeys::parse(&opened.secret)
        {
            opened.redactor = Redactor::of_all(&keys.values(), &binding.placeholder);
            opened.aws_keys = Some(keys);
        }
        opened
    }

    /// The value as AWS keys, if that is what it holds and what it is for.
    #[must_use]
    pub const fn aws_keys(&self) -> Option<&AwsKeys> {
        self.aws_keys.as_ref()
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
