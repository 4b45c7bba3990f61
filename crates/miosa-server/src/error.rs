//! Errors of the API: a stable code and words for the caller, the cause for the log only.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use miosa_api::error::{ErrorBody, ErrorCode, ErrorDetail};
use serde_json::Value;

use crate::http::request_id;

/// What a handler fails with.
#[derive(Debug)]
pub struct ApiError {
    /// Stable code; fixes the status.
    pub code: ErrorCode,
    /// What happened and why, for the caller.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Facts for a program.
    pub details: Option<Value>,
    /// Seconds to wait before a retry.
    pub retry_after: Option<u64>,
    /// For the log only.
    source: Option<String>,
}

impl ApiError {
    /// An error with a message for the caller.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            details: None,
            retry_after: None,
            source: None,
        }
    }

    /// An unforeseen failure: the caller learns the request id, the log the cause.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let mut error = Self::new(
            ErrorCode::Internal,
            "the server failed; its log has the cause under this request id",
        );
        error.source = Some(cause.to_string());
        error
    }

    /// `no <noun> <id>`: also the answer for what belongs to another tenant.
    #[must_use]
    pub fn not_found(noun: &str, id: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {noun} {id}"))
    }

    /// A field whose value is not allowed.
    #[must_use]
    pub fn invalid(field: &str, why: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::ValidationFailed, format!("{field}: {why}"))
            .with_details(serde_json::json!({ "field": field }))
    }

    /// Adds what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds facts for a program.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Adds a cause for the log.
    #[must_use]
    pub fn with_source(mut self, cause: impl std::fmt::Display) -> Self {
        self.source = Some(cause.to_string());
        self
    }

    fn body(&self) -> ErrorBody {
        ErrorBody {
            error: ErrorDetail {
                code: self.code.as_str().to_owned(),
                message: self.message.clone(),
                hint: self.hint.clone(),
                request_id: request_id::current(),
                details: self.details.clone(),
                retryable: self.code.retryable(),
                retry_after: self.retry_after,
            },
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)?;
        match &self.source {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(request_id = request_id::current(), error = %self, "request failed");
        }
        let mut response = (status, Json(self.body())).into_response();
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        Self::internal(format!("database: {error}"))
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            return Self::new(ErrorCode::DiskFull, "the host's disk is full").with_source(error);
        }
        Self::internal(error)
    }
}

impl From<miosa_runtime::RuntimeError> for ApiError {
    fn from(error: miosa_runtime::RuntimeError) -> Self {
        use miosa_runtime::RuntimeError;
        let code = match &error {
            RuntimeError::Unavailable { .. } => ErrorCode::RuntimeUnavailable,
            RuntimeError::DiskFull(_) => ErrorCode::DiskFull,
            RuntimeError::Start(_) => ErrorCode::SandboxStartFailed,
            RuntimeError::NotFound(_) => ErrorCode::AgentUnavailable,
            RuntimeError::Io { source, step } => {
                return Self::internal(format!("{step}: {source}"));
            }
        };
        Self::new(code, error.to_string())
    }
}
