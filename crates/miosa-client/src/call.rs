//! One request: how it is sent, when it is repeated, how its answer is read.

use std::time::Duration;

use bytes::Bytes;
use miosa_api::error::{ErrorBody, ErrorDetail};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Body, Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::sse::EventStream;
use crate::{Answer, Client, ClientError};

/// Time for a whole answer unless a call says otherwise.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);
/// How often a request is repeated at most.
const RETRIES_MAX: u32 = 3;
/// Wait before the first repetition; doubles with each.
const RETRY_WAIT_FIRST: Duration = Duration::from_millis(200);
/// Longest wait a server may ask for with `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// Bytes of an error's body that are read.
const ERROR_TEXT_MAX: usize = 2000;

pub(crate) struct Call<'a> {
    client: &'a Client,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    body: Payload,
    idempotency_key: Option<String>,
    timeout: Option<Duration>,
    accept: &'static str,
}

enum Payload {
    None,
    Json(Bytes),
    /// A body that can be sent only once.
    Stream(Body),
}

impl<'a> Call<'a> {
    pub(crate) fn new(client: &'a Client, method: Method, path: String) -> Self {
        Self {
            client,
            method,
            path,
            query: Vec::new(),
            body: Payload::None,
            idempotency_key: None,
            timeout: Some(TIMEOUT_DEFAULT),
            accept: "application/json",
        }
    }

    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn query_opt<V: ToString>(self, name: &str, value: Option<V>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    pub(crate) fn json<B: Serialize + ?Sized>(mut self, body: &B) -> Result<Self, ClientError> {
        let bytes = serde_json::to_vec(body).map_err(ClientError::protocol)?;
        self.body = Payload::Json(bytes.into());
        Ok(self)
    }

    pub(crate) fn stream(mut self, body: Body) -> Self {
        self.body = Payload::Stream(body);
        self
    }

    /// Makes the request safe to repeat.
    pub(crate) fn idempotency_key(mut self, key: Option<String>) -> Self {
        self.idempotency_key = key;
        self
    }

    pub(crate) const fn timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends it and reads the JSON of the answer.
    pub(crate) async fn answer<T: DeserializeOwned>(self) -> Result<Answer<T>, ClientError> {
        let response = self.send().await?;
        let url = bare(&response);
        let bytes = response
            .bytes()
            .await
            .map_err(|source| ClientError::Network { url, source })?;
        if bytes.is_empty() {
            return Ok(Answer::new(Value::Null));
        }
        let envelope = serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::protocol(format!("it is not JSON ({error})")))?;
        Ok(Answer::new(envelope))
    }

    /// Sends it and follows the events of the answer.
    pub(crate) async fn events(mut self) -> Result<EventStream, ClientError> {
        self.accept = "text/event-stream, application/json;q=0.9";
        self.timeout = None;
        Ok(EventStream::new(self.send().await?))
    }

    /// Sends it, repeating it where that is safe, and returns the answer's head once it is 2xx.
    pub(crate) async fn send(mut self) -> Result<Response, ClientError> {
        let idempotent = (self.method != Method::POST && self.method != Method::PATCH)
            || self.idempotency_key.is_some();
        let repeatable = idempotent && !matches!(self.body, Payload::Stream(_));
        let mut wait = RETRY_WAIT_FIRST;
        let mut attempt = 0;
        loop {
            let (error, asked) = match self.send_once().await {
                Ok(response) if response.status().is_success() => return Ok(response),
                Ok(response) => {
                    let asked = retry_after(&response);
                    (refusal(response).await, asked)
                }
                Err(error) => (error, None),
            };
            if !repeatable || attempt == RETRIES_MAX || !may_repeat(&error) {
                return Err(error);
            }
            tokio::time::sleep(asked.unwrap_or(wait)).await;
            wait *= 2;
            attempt += 1;
        }
    }

    async fn send_once(&mut self) -> Result<Response, ClientError> {
        let url = self.client.endpoint().route(&self.path);
        let mut request = self
            .client
            .http
            .request(self.method.clone(), &url)
            .headers(self.client.headers())
            .header(ACCEPT, self.accept);
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        if let Some(timeout) = self.timeout {
            request = request.timeout(timeout);
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        request = match &mut self.body {
            Payload::None => request,
            Payload::Json(bytes) => request
                .header(CONTENT_TYPE, "application/json")
                .body(bytes.clone()),
            Payload::Stream(body) => request
                .header(CONTENT_TYPE, "application/octet-stream")
                .body(std::mem::take(body)),
        };
        request.send().await.map_err(|source| ClientError::Network {
            url,
            source: source.without_url(),
        })
    }
}

/// Address of an answer without its query.
pub(crate) fn bare(response: &Response) -> String {
    let mut url = response.url().clone();
    url.set_query(None);
    url.to_string()
}

fn may_repeat(error: &ClientError) -> bool {
    match error {
        ClientError::Network { source, .. } => source.is_connect() || source.is_timeout(),
        ClientError::Api { status, detail } => {
            let unnamed = detail.code.starts_with("HTTP_");
            matches!(status, 429 | 500 | 502 | 503 | 504) && (detail.retryable || unnamed)
        }
        _ => false,
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let seconds: u64 = seconds.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// Reads an answer that is not 2xx.
async fn refusal(response: Response) -> ClientError {
    let status = response.status().as_u16();
    let request_id = response
        .headers()
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let bytes = response.bytes().await.unwrap_or_default();
    let mut detail = read_detail(status, &bytes);
    if detail.request_id.is_none() {
        detail.request_id = request_id;
    }
    ClientError::Api {
        status,
        detail: Box::new(detail),
    }
}

/// The canonical error, a flat `{"error": "CODE", "detail": …}` or `{"message": …}`, or plain text.
fn read_detail(status: u16, bytes: &[u8]) -> ErrorDetail {
    if let Ok(body) = serde_json::from_slice::<ErrorBody>(bytes) {
        return body.error;
    }
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let text = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| value.get(name)?.as_str().map(str::to_owned))
    };
    let plain = || {
        let end = bytes.len().min(ERROR_TEXT_MAX);
        let text = String::from_utf8_lossy(&bytes[..end]).trim().to_owned();
        if text.is_empty() {
            format!("the server answered with status {status}")
        } else {
            text
        }
    };
    ErrorDetail {
        code: text(&["code", "error"]).unwrap_or_else(|| format!("HTTP_{status}")),
        message: text(&["message", "detail", "reason"]).unwrap_or_else(plain),
        request_id: text(&["request_id"]),
        details: value.get("details").cloned(),
        ..ErrorDetail::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{may_repeat, read_detail};
    use crate::ClientError;

    #[test]
    fn every_known_shape_of_an_error_gives_code_and_message() {
        let cases = [
            (r#"{"error":{"code":"A","message":"m"}}"#, "A", "m"),
            (r#"{"error":"A","detail":"m"}"#, "A", "m"),
            (r#"{"code":"A","message":"m"}"#, "A", "m"),
            ("bad gateway", "HTTP_502", "bad gateway"),
            ("", "HTTP_502", "the server answered with status 502"),
        ];
        for (body, code, message) in cases {
            let detail = read_detail(502, body.as_bytes());
            assert_eq!(
                (detail.code.as_str(), detail.message.as_str()),
                (code, message)
            );
        }
    }

    #[test]
    fn only_what_may_succeed_later_is_repeated() {
        let error = |status, body: &str| ClientError::Api {
            status,
            detail: Box::new(read_detail(status, body.as_bytes())),
        };
        let retryable = r#"{"error":{"code":"X","message":"","retryable":true}}"#;
        let settled = r#"{"error":{"code":"X","message":"","retryable":false}}"#;
        assert!(may_repeat(&error(503, retryable)));
        assert!(may_repeat(&error(502, "bad gateway")));
        assert!(!may_repeat(&error(503, settled)));
        assert!(!may_repeat(&error(409, retryable)));
    }
}
