//! What a sandbox is told when its request is refused: a stable code, what happened, and what to do,
//! in words an agent can act on.
//!
//! INVARIANT: no text here is taken from a header, a query or a path of the request, so that neither
//! a placeholder nor a value is ever repeated.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use miosa_api::broker::RefusalCode;
use serde_json::{Value, json};

/// Code of JSON-RPC errors: of those that servers choose themselves, one that no client gives a meaning.
const RPC_CODE: i32 = -32_010;
/// Entries of `allowed` that are in a message of JSON-RPC; all are in its data.
const RPC_ALLOWED_SHOWN: usize = 30;

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
    /// The policy that rule is of, if it is of one; for the audit alone.
    pub policy_id: Option<String>,
    /// What would have been accepted: endpoints, methods or places.
    pub allowed: Vec<String>,
    /// Asks the client for `Authorization: Basic`: some (git) send their credential only when asked.
    pub basic_challenge: bool,
    /// Seconds after which the same request may pass.
    pub retry_after_secs: Option<u64>,
    /// Requests of JSON-RPC it answers; then its text is an error of that protocol, which clients show.
    pub rpc: RpcAnswer,
}

/// Requests of JSON-RPC that want an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RpcAnswer {
    ids: Vec<Value>,
    is_batch: bool,
}

impl RpcAnswer {
    /// An answer to these.
    #[must_use]
    pub const fn to(ids: Vec<Value>, is_batch: bool) -> Self {
        Self { ids, is_batch }
    }

    /// Whether nobody wants one.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl Refusal {
    /// A refusal with the two sentences every one has.
    pub fn new(code: RefusalCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: hint.into(),
            rule: None,
            policy_id: None,
            allowed: Vec::new(),
            basic_challenge: false,
            retry_after_secs: None,
            rpc: RpcAnswer::default(),
        }
    }

    /// Names the rule that refused.
    #[must_use]
    pub fn by_rule(mut self, rule: &str) -> Self {
        self.rule = Some(rule.to_owned());
        self
    }

    /// Names the policy that rule is of.
    #[must_use]
    pub fn of_policy(mut self, policy_id: Option<&str>) -> Self {
        self.policy_id = policy_id.map(str::to_owned);
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

    /// Says when the same request may pass.
    #[must_use]
    pub const fn with_retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// Answers these requests of JSON-RPC.
    #[must_use]
    pub fn as_rpc(mut self, answer: RpcAnswer) -> Self {
        self.rpc = answer;
        self
    }

    /// The HTTP status it is answered with. An error of JSON-RPC is an answer as others are: clients read no further
    /// than a status that tells of a failure.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        if !self.rpc.is_empty() {
            return StatusCode::OK;
        }
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
        if self.rpc.is_empty() {
            return Bytes::from(json!({ "error": error }).to_string());
        }
        let answers = self.rpc.ids.iter().map(|id| self.rpc_error(id, &error));
        let answers: Vec<Value> = answers.collect();
        let text = match answers.as_slice() {
            [one] if !self.rpc.is_batch => one.to_string(),
            all => json!(all).to_string(),
        };
        Bytes::from(text)
    }

    /// Agents are shown the message alone, so that all is in it.
    fn rpc_error(&self, id: &Value, data: &Value) -> Value {
        let mut message = format!("{} {}", self.message, self.hint);
        if !self.allowed.is_empty() {
            let shown = &self.allowed[..self.allowed.len().min(RPC_ALLOWED_SHOWN)];
            message.push_str(&format!(" Allowed: {}.", shown.join(", ")));
        }
        message.push_str(&format!(" ({}, {})", self.code.as_str(), self.rule()));
        let error = json!({"code": RPC_CODE, "message": message, "data": data});
        json!({"jsonrpc": "2.0", "id": id, "error": error})
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
        if let Some(secs) = self.retry_after_secs {
            headers.insert(RETRY_AFTER, HeaderValue::from(secs));
        }
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
