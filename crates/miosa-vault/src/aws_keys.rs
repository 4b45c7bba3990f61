//! What a sealed value of AWS keys holds: they are two or three values that belong together.

use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroize;

use crate::SecretValue;

/// Shortest access key id: AWS promises 16 characters at least, and what is shorter could not be found in an answer.
const ACCESS_KEY_ID_BYTES_MIN: usize = 16;
/// Shortest secret key; AWS makes 40 characters.
const SECRET_ACCESS_KEY_BYTES_MIN: usize = 16;

/// AWS keys. No `Debug`, `Clone` or `Serialize`; wiped when they go.
///
/// They are stored as one JSON value, with AWS's own names or in snake case; other fields, such as `Version` and
/// `Expiration` of `aws configure export-credentials`, are passed over.
///
/// ```
/// let text = r#"{"AccessKeyId": "AKIAEXAMPLE012345678", "SecretAccessKey": "not-a-real-secret-key-0123456789"}"#;
/// let keys = miosa_vault::AwsKeys::parse(&miosa_vault::SecretValue::parse(text).unwrap()).ok().unwrap();
/// assert_eq!(keys.access_key_id(), "AKIAEXAMPLE012345678");
/// assert!(keys.session_token().is_none());
/// ```
#[derive(Deserialize)]
pub struct AwsKeys {
    #[serde(alias = "AccessKeyId", alias = "aws_access_key_id")]
    access_key_id: String,
    #[serde(alias = "SecretAccessKey", alias = "aws_secret_access_key")]
    secret_access_key: String,
    #[serde(default, alias = "SessionToken", alias = "aws_session_token")]
    session_token: Option<String>,
}

/// Why a value holds no AWS keys. Never repeats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidAwsKeys {
    /// No JSON object with the two fields.
    #[error(
        "the value is not a JSON object on one line with `AccessKeyId` and `SecretAccessKey` (and `SessionToken` for temporary keys)"
    )]
    Shape,
    /// An access key id that is none.
    #[error("`AccessKeyId` is not at least {ACCESS_KEY_ID_BYTES_MIN} letters and digits")]
    AccessKeyId,
    /// A secret that is none.
    #[error("`SecretAccessKey` has fewer than {SECRET_ACCESS_KEY_BYTES_MIN} characters")]
    SecretAccessKey,
    /// A session token no header can carry.
    #[error("`SessionToken` is empty or not printable ASCII without spaces")]
    SessionToken,
}

impl AwsKeys {
    /// Reads a sealed value.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn parse(value: &SecretValue) -> Result<Self, InvalidAwsKeys> {
        let mut keys: Self =
            serde_json::from_str(value.expose()).map_err(|_| InvalidAwsKeys::Shape)?;
        // `aws sts` and SDKs write an absent token as an empty one.
        keys.session_token = keys.session_token.take().filter(|token| !token.is_empty());
        let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let is_text = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if keys.access_key_id.len() < ACCESS_KEY_ID_BYTES_MIN || !is_id(&keys.access_key_id) {
            return Err(InvalidAwsKeys::AccessKeyId);
        }
        let secret = &keys.secret_access_key;
        if secret.len() < SECRET_ACCESS_KEY_BYTES_MIN || !is_text(secret) {
            return Err(InvalidAwsKeys::SecretAccessKey);
        }
        if !keys.session_token().is_none_or(is_text) {
            return Err(InvalidAwsKeys::SessionToken);
        }
        Ok(keys)
    }

    /// Who signs. Not secret, yet not for a sandbox to know.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// What signatures are made with. Never sent.
    #[must_use]
    pub fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    /// What goes with temporary keys.
    #[must_use]
    pub fn session_token(&self) -> Option<&str> {
        self.session_token.as_deref()
    }

    /// Everything that is taken out of answers.
    #[must_use]
    pub fn values(&self) -> Vec<&str> {
        let always = [self.access_key_id(), self.secret_access_key()];
        always.into_iter().chain(self.session_token()).collect()
    }
}

impl Drop for AwsKeys {
    fn drop(&mut self) {
        self.access_key_id.zeroize();
        self.secret_access_key.zeroize();
        self.session_token.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIAEXAMPLE012345678";
    const KEY: &str = "wJalr/not+a+real+key/0123456789";

    fn parse(text: &str) -> Result<AwsKeys, InvalidAwsKeys> {
        AwsKeys::parse(&SecretValue::parse(text).unwrap())
    }

    #[test]
    fn all_spellings_are_read() {
        for [id, key, token] in [
            ["AccessKeyId", "SecretAccessKey", "SessionToken"],
            ["access_key_id", "secret_access_key", "session_token"],
            [
                "aws_access_key_id",
                "aws_secret_access_key",
                "aws_session_token",
            ],
        ] {
            let text = format!(
                r#"{{"Version": 1, "{id}": "{ID}", "{key}": "{KEY}", "{token}": "FwoG=="}}"#
            );
            let keys = parse(&text).ok().unwrap();
            assert_eq!(keys.values(), [ID, KEY, "FwoG=="]);
        }
        let text = format!(
            r#"{{"access_key_id": "{ID}", "secret_access_key": "{KEY}", "session_token": ""}}"#
        );
        assert_eq!(parse(&text).ok().unwrap().values(), [ID, KEY]);
    }

    #[test]
    fn what_is_wrong_is_named_and_not_repeated() {
        let text = |id: &str, key: &str, token: &str| {
            format!(
                r#"{{"AccessKeyId": "{id}", "SecretAccessKey": "{key}", "SessionToken": "{token}"}}"#
            )
        };
        for (text, expected) in [
            ("AKIAEXAMPLE012345678".to_owned(), InvalidAwsKeys::Shape),
            (
                format!("{{\"AccessKeyId\": \"{ID}\"}}"),
                InvalidAwsKeys::Shape,
            ),
            (text("AKIA", KEY, ""), InvalidAwsKeys::AccessKeyId),
            (
                text("AKIA/EXAMPLE/01234", KEY, ""),
                InvalidAwsKeys::AccessKeyId,
            ),
            (text(ID, "short", ""), InvalidAwsKeys::SecretAccessKey),
            (text(ID, KEY, "two words"), InvalidAwsKeys::SessionToken),
        ] {
            let error = parse(&text).err().unwrap();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains(ID) && !error.to_string().contains(KEY));
        }
    }
}
