//! How a route says that it failed: a stable code and a sentence.

use std::io;

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use miosa_api::error::{ErrorBody, ErrorCode, ErrorDetail};

/// A failed request.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    code: ErrorCode,
    message: String,
}

impl Failure {
    /// A failure with this code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// The path cannot be used for what was asked.
    pub fn invalid_path(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidPath, message)
    }
}

/// Errors of the file system by kind; `fs_err` puts the path into the message.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let code = match error.kind() {
            Kind::NotFound => ErrorCode::FileNotFound,
            Kind::StorageFull | Kind::QuotaExceeded => ErrorCode::DiskFull,
            Kind::IsADirectory
            | Kind::NotADirectory
            | Kind::DirectoryNotEmpty
            | Kind::AlreadyExists
            | Kind::InvalidInput
            | Kind::InvalidFilename
            | Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::ResourceBusy => ErrorCode::InvalidPath,
            _ => match error.raw_os_error() {
                Some(libc::ELOOP) => ErrorCode::InvalidPath,
                _ => ErrorCode::Internal,
            },
        };
        Self::new(code, error.to_string())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let code = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::TooLarge,
            _ => ErrorCode::BadRequest,
        };
        Self::new(code, rejection.body_text())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).expect("every code has a valid status");
        let error = ErrorDetail {
            code: self.code.as_str().to_owned(),
            message: self.message,
            retryable: self.code.retryable(),
            ..ErrorDetail::default()
        };
        (status, Json(ErrorBody { error })).into_response()
    }
}
