//! What a sandbox is told when its request is refused: a stable code, what happened, and what to do,
//! in words an agent can act on.
//!
//! INVARIANT: no text here is taken from a header, a query or a path of the request, so that neither
//! a placeholder nor a value is ever repeated.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use miosa_api::broker::RefusalCode;
use serde_json::json;

/// A request that does not go out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code.
    pub code: RefusalCode,
    /// What was refused, in a sentence.
    pub message: String,
    /// What to do instead.
    pub hint: String,
    /// What refused: a rule's id, `binding:<id>`, `mode:enforce`, or a rule of the broker's own when absent.
    pub rule: Option<String>,
    /// What would have been accepted: endpoints, methods or places.
    pub allowed: Vec<String>,
    /// Asks the client for `Authorization: Basic`: some (git) send their credential only when asked.
    pub basic_challenge: bool,
}

impl Refusal {
    /// A refusal with the two sentences every one has.
    pub fn new(code: RefusalCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            rule: None,
            allowed: Vec::new(),
            basic_challenge: false,
        }
    }

    /// Names the rule that refused.
    #[must_use]
    pub fn by_rule(mut self, rule: &str) -> Self {
        self.rule = Some(rule.to_owned());
        self
    }

    /// Names what would have been accepted.
    #[must_use]
    pub fn with_allowed(mut self, allowed: Vec<String>) -> Self {
        self.allowed = allowed;
        self
    }

    /// Asks for Basic credentials.
    #[must_use]
    pub fn with_basic_challenge(mut self) -> Self {
        self.basic_challenge = true;
        self
    }

    /// The HTTP status it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if self.basic_challenge {
            return StatusCode::UNAUTHORIZED;
        }
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::FORBIDDEN)
    }

    /// What refused, whatever it was.
    #[must_use]
    pub fn rule(&self) -> String {
        let built_in = || {
            let name = self.code.as_str().trim_start_matches("EGRESS_");
            format!("built-in:{}", name.to_ascii_lowercase().replace('_', "-"))
        };
        self.rule.clone().unwrap_or_else(built_in)
    }

    /// The JSON it is answered with.
    #[must_use]
    pub fn to_body(&self) -> Bytes {
        let error = json!({
            "code": self.code.as_str(),
            "message": self.message,
            "hint": self.hint,
            "rule": self.rule(),
            "allowed": self.allowed,
        });
        Bytes::from(json!({ "error": error }).to_string())
    }

    /// The whole answer.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response = Response::new(self.to_body());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(
            "x-miosa-refusal",
            HeaderValue::from_static(self.code.as_str()),
        );
        if self.basic_challenge {
            let challenge = HeaderValue::from_static("Basic realm=\"miosa\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_becomes_an_answer() {
        for code in RefusalCode::ALL {
            let refusal = Refusal::new(*code, "No.", "Ask.");
            assert!(refusal.rule().starts_with("built-in:"), "{refusal:?}");
            let refusal = refusal.by_rule("r1");
            let response = refusal.to_response();
            assert_eq!(response.status().as_u16(), code.status());
            let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(body["error"]["code"], code.as_str());
            assert_eq!(body["error"]["rule"], "r1");
            assert_eq!(body["error"]["hint"], "Ask.");
        }
    }

    #[test]
    fn a_challenge_asks_for_basic() {
        let refusal = Refusal::new(RefusalCode::CredentialRequired, "No.", "Ask.");
        let response = refusal.with_basic_challenge().to_response();
        assert_eq!(response.status(), 401);
        assert_eq!(
            response.headers()[WWW_AUTHENTICATE],
            "Basic realm=\"miosa\""
        );
    }
}
